import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { loadSite } from '../config/load.ts';
import { KomError } from '../domain/errors.ts';
import { readCertificate } from '../world/certificate.ts';
import type { CommandContext } from './program.ts';
import { chooseServer } from './run.ts';
import { formatTable } from './table.ts';

interface TrustOptions {
  readonly server?: string;
}

interface Rejected {
  readonly directory: string;
  readonly file: string;
  readonly subject: string;
  /** SHA-256, hexadecimal. */
  readonly fingerprint: string;
}

/** `kom pki trust`: OPC UA servers whose certificates were refused. */
export function trustCommand({ output }: CommandContext): Command {
  return new Command('trust')
    .description('Lists the OPC UA servers that were refused, or trusts one of them.')
    .argument('<site.json>', 'the site file')
    .argument('[fingerprint]', 'the beginning of the SHA-256 of a certificate, as listed without it')
    .option('--server <name>', 'the comm server of the site file (needed if there are several)')
    .action(async (file: string, fingerprint: string | undefined, options: TrustOptions) => {
      const first = await loadSite(file, { secretsOptional: true });
      const server = chooseServer(first.site, options.server).name;
      const { site } = await loadSite(file, { secretsOptional: true, server });
      const directories = site.processes.flatMap(({ lines }) =>
        lines.flatMap((line) => (line.driver === 'opcua' ? line.pkiDirectory : [])),
      );
      const rejected = [...new Set(directories)].flatMap(rejectedIn);
      if (fingerprint === undefined) {
        const columns = [{ title: 'SHA-256' }, { title: 'subject' }, { title: 'file' }];
        const rows = rejected.map((each) => [each.fingerprint.slice(0, 16), each.subject, each.file]);
        for (const line of formatTable(columns, rows)) output.line(line);
        return;
      }
      const chosen = choose(rejected, fingerprint);
      const trusted = join(chosen.directory, 'trusted');
      mkdirSync(trusted, { recursive: true });
      renameSync(join(chosen.directory, 'rejected', chosen.file), join(trusted, chosen.file));
      output.line(`trusted ${chosen.subject}: ${join(trusted, chosen.file)}`);
    });
}

function rejectedIn(directory: string): Rejected[] {
  const folder = join(directory, 'rejected');
  if (!existsSync(folder)) return [];
  return readdirSync(folder).map((file) => {
    const facts = readCertificate(readFileSync(join(folder, file)));
    return { directory, file, subject: facts.subject, fingerprint: facts.fingerprint.replaceAll(':', '') };
  });
}

function choose(rejected: readonly Rejected[], wanted: string): Rejected {
  const beginning = wanted.replaceAll(':', '').toUpperCase();
  const fits = rejected.filter(({ fingerprint }) => fingerprint.startsWith(beginning));
  const [chosen] = fits;
  if (chosen !== undefined && fits.length === 1 && beginning.length >= 8) return chosen;
  throw new KomError('KOM_USAGE', `${fits.length} refused certificates begin with ${wanted}`, {
    expected: 'at least 8 digits of exactly one; see kom pki trust without a fingerprint',
  });
}
