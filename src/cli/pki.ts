import { basename, dirname, join, resolve } from 'node:path';
import { Command } from 'commander';
import { loadSite } from '../config/load.ts';
import { KomError } from '../domain/errors.ts';
import { formatIdentity } from '../domain/identity.ts';
import { formatTimeUs } from '../domain/units.ts';
import { type ListedCertificate, type MachineResult, SiteAuthority } from '../pki/authority.ts';
import { EXPIRY_WARNING_DAYS } from '../pki/keeper.ts';
import { addNamedKernel, type NamedKernel } from '../pki/named-kernel.ts';
import { planMachines } from '../pki/plan.ts';
import type { Output } from './output.ts';
import { pkiFolder } from './pki-folder.ts';
import { trustCommand } from './pki-trust.ts';
import type { CommandContext } from './program.ts';
import { formatTable } from './table.ts';

const DAYS_DEFAULT = 3 * 365;
const DAYS_MAX = 20 * 365;
const DIRECTORY_HELP = 'directory of the authority; it belongs on no machine of the plant';

interface PkiOptions {
  readonly directory: string;
  readonly json?: true;
}

interface InitOptions {
  readonly directory?: string;
  readonly kernel: readonly NamedKernel[];
  readonly days: number;
}

interface RenewOptions extends PkiOptions {
  readonly days: number;
  readonly newKey?: true;
}

/** `kom pki`: the certificates of a site. */
export function pkiCommand(context: CommandContext): Command {
  const { output } = context;
  return new Command('pki')
    .description('Makes and keeps the certificates with which agents and Kernels know each other.')
    .addCommand(initCommand(output))
    .addCommand(listCommand(output))
    .addCommand(renewCommand(output))
    .addCommand(revokeCommand(output))
    .addCommand(trustCommand(context));
}

function initCommand(output: Output): Command {
  return new Command('init')
    .description(
      'Makes what a site file needs: an authority, and a folder for each comm server and Kernel. Keys that ' +
        'are there stay; a certificate is issued anew where it does not fit the site file any more.',
    )
    .argument('<site.json>', 'the site file')
    .option('--directory <path>', `${DIRECTORY_HELP}; default: pki beside the site file`)
    .option(
      '--kernel <name=host,…>',
      'a Kernel by its name and all its addresses: one that has several, one that dials the agents, and ' +
        'each of a group, by redundancy.name of its file; given once for each Kernel',
      addNamedKernel,
      [] as readonly NamedKernel[],
    )
    .option('--days <count>', 'how long certificates are valid', parseDays, DAYS_DEFAULT)
    .action(async (file: string, options: InitOptions) => {
      const { site } = await loadSite(file, { secretsOptional: true, assumeTls: true });
      const plans = planMachines(site, options.kernel);
      const directory = options.directory ?? join(dirname(file), 'pki');
      const authority = await SiteAuthority.openOrMake(pkiFolder(directory), site.name, nowUs());
      const results: MachineResult[] = [];
      for (const plan of plans) {
        results.push(await authority.provide(plan, options.days));
      }
      printMachines(results, { output, directory, file });
    });
}

function listCommand(output: Output): Command {
  return new Command('list')
    .description('Lists the certificates of an authority and when they end.')
    .option('--directory <path>', DIRECTORY_HELP, 'pki')
    .option('--json', 'print JSON lines')
    .action(async (options: PkiOptions) => {
      const listed = await SiteAuthority.open(pkiFolder(options.directory), nowUs()).certificates();
      if (options.json === true) {
        for (const { name, facts, ...rest } of listed)
          output.line(JSON.stringify({ name, ...rest, ...facts }));
        return;
      }
      const columns = [
        { title: 'name' },
        { title: 'speaks for' },
        { title: 'valid to' },
        { title: 'days', align: 'right' as const },
        { title: 'state' },
        { title: 'SHA-256' },
      ];
      for (const line of formatTable(columns, listed.map(rowOf))) output.line(line);
    });
}

function rowOf({ name, facts, isRevoked, daysLeft }: ListedCertificate): string[] {
  const spoken = [...facts.identities.map(formatIdentity), ...facts.hosts].join(' ');
  const state = daysLeft < 0 ? 'expired' : daysLeft < EXPIRY_WARNING_DAYS ? 'ends soon' : 'valid';
  const fingerprint = facts.fingerprint.replaceAll(':', '').slice(0, 16);
  const until = formatTimeUs(facts.validToUs).slice(0, 10);
  return [name, spoken, until, String(daysLeft), isRevoked ? 'revoked' : state, fingerprint];
}

function renewCommand(output: Output): Command {
  return new Command('renew')
    .description('Issues certificates anew, for the same key unless told otherwise.')
    .argument('[names...]', 'folders of machines; default: all')
    .option('--directory <path>', DIRECTORY_HELP, 'pki')
    .option('--days <count>', 'how long they are valid', parseDays, DAYS_DEFAULT)
    .option('--new-key', 'make a new key, too; the former one is replaced')
    .action(async (names: readonly string[], options: RenewOptions) => {
      const authority = SiteAuthority.open(pkiFolder(options.directory), nowUs());
      const how = { days: options.days, newKey: options.newKey === true };
      for (const name of names.length > 0 ? names : authority.machines()) {
        const { facts } = await authority.renew(name, how);
        output.line(`${name}: valid to ${formatTimeUs(facts.validToUs).slice(0, 10)}`);
      }
      const what = how.newKey ? 'certificate.pem and key.pem' : 'certificate.pem';
      output.note(`next: copy ${what} of each folder to its machine; a running program takes them by itself`);
    });
}

function revokeCommand(output: Output): Command {
  return new Command('revoke')
    .description('Revokes every certificate of a machine, in the list that all machines get.')
    .argument('<name>', 'folder of the machine')
    .option('--directory <path>', DIRECTORY_HELP, 'pki')
    .action(async (name: string, options: PkiOptions) => {
      const authority = SiteAuthority.open(pkiFolder(options.directory), nowUs());
      for (const { serialNumber } of await authority.revoke(name)) {
        output.line(`${name}: revoked ${serialNumber}`);
      }
      output.note(
        'next: copy crl.pem to every machine; until then it lets the revoked one in. Open sessions go on: ' +
          'restart the Kernel to end them',
      );
    });
}

function printMachines(
  results: readonly MachineResult[],
  where: { readonly output: Output; readonly directory: string; readonly file: string },
): void {
  const { output, directory, file } = where;
  const rows = results.map(({ name, role, action, facts }) => [
    ...[name, action, formatTimeUs(facts.validToUs).slice(0, 10)],
    ...[`${join(directory, name)}/*.pem`, role === 'agent' ? `tls/${name}/` : 'tls/kernel/'],
  ]);
  const columns = ['machine', 'certificate', 'valid to', 'copy', 'to, beside its configuration file'];
  for (const line of formatTable(
    columns.map((title) => ({ title })),
    rows,
  )) {
    output.line(line);
  }
  output.note('');
  output.note(`in ${basename(file)} and in the Kernel file:  "tls": {}`);
  output.note('keys stay 0600, owned by who runs the program; files elsewhere can be named in "tls"');
  output.note(`keep ${resolve(directory)} offline and backed up: who has ca-key.pem can be anybody`);
  if (results.every(({ role }) => role === 'agent')) {
    output.note('no Kernel is made: the site file names none with TLS; --kernel NAME=HOST makes one');
  }
}

function parseDays(text: string): number {
  const days = Number(text);
  if (Number.isInteger(days) && days >= 1 && days <= DAYS_MAX) return days;
  throw new KomError('KOM_USAGE', `--days ${text}`, { expected: `a number from 1 to ${DAYS_MAX}` });
}

function nowUs(): number {
  return Date.now() * 1000;
}
