import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentStatus } from '../../src/agent/agent.ts';
import type { InstanceStatus } from '../../src/agent/instance.ts';
import { proveSite } from '../../src/cli/demo/prove.ts';
import { realWorld } from '../../src/cli/world.ts';
import { loadKernelConfig, loadSite } from '../../src/config/load.ts';
import type { Site } from '../../src/config/model.ts';
import { SEQUENCE_GAP_REASONS } from '../../src/domain/gap.ts';
import type { KernelAlarm } from '../../src/kernel/alarms.ts';
import type { QueryLine, TagQuery } from '../../src/kernel/archive/query.ts';
import type { KernelStatus } from '../../src/kernel/kernel.ts';
import { remoteQueries } from '../../src/kernel/queries.ts';
import { callControl } from '../../src/ops/control.ts';
import type { KeyedCertificate } from '../../src/pki/issue.ts';
import type { Proof } from '../../src/sim/proof.ts';
import { TestAuthority } from '../integration/support/certificates.ts';
import { Kom, kom } from '../integration/support/kom.ts';
import { sleep, until } from '../integration/support/until.ts';
import { DATABASE_CA, DATABASE_SECRETS } from './database.ts';
import { type Figure, PLANT } from './figure.ts';
import type { Network } from './network.ts';
import { readServed } from './served.ts';

const EXAMPLES = join(import.meta.dirname, '../../examples/architectures');
/** Blocks are sealed at 250 ms and committed within 100 ms more; on a busy machine it takes longer. */
const SETTLE_MS = 1500;
const START_MAX_MS = 30_000;
const CATCH_UP_MAX_MS = 60_000;
/** A machine that dies takes with it what it had not stored. */
const LOSSES: ReadonlySet<string> = new Set(SEQUENCE_GAP_REASONS.filter((reason) => reason !== 'crash'));

/**
 * The hosts of a figure, each with a folder of its own that holds what an engineer would copy there: the
 * files of the example, and the certificates that `kom pki init` made. Nothing is started.
 */
export class Stage implements AsyncDisposable {
  readonly figure: Figure;
  readonly network: Network;
  readonly site: Site;
  readonly #directory: string;
  /** Who vouches for the databases: somebody else than the authority of the site. */
  readonly #databases: TestAuthority;
  readonly #world = realWorld({ level: 'silent', name: 'topology' });
  readonly #processes = new Map<string, Kom>();
  readonly #others = new AsyncDisposableStack();

  private constructor(
    figure: Figure,
    parts: { network: Network; directory: string; site: Site; databases: TestAuthority },
  ) {
    this.figure = figure;
    this.network = parts.network;
    this.site = parts.site;
    this.#directory = parts.directory;
    this.#databases = parts.databases;
  }

  static async make(figure: Figure, network: Network): Promise<Stage> {
    const directory = mkdtempSync(join(tmpdir(), `kom-figure-${figure.number}-`));
    try {
      const office = join(directory, 'office');
      placeExample(join(EXAMPLES, figure.folder), office, network);
      await certify(office, figure, network);
      for (const host of Object.keys(figure.network.hosts)) equip(host, { office, directory });
      const databases = await TestAuthority.make('databases');
      for (const host of Object.keys(figure.kernels)) trustDatabases(join(directory, host), databases);
      const { site } = await loadSite(join(office, 'site.json'));
      return new Stage(figure, { network, directory, site, databases });
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Something that ends with the stage. */
  use<Thing extends AsyncDisposable>(thing: Thing): Thing {
    return this.#others.use(thing);
  }

  /** The certificate of a database server that Kernels reach by these addresses of the figure. */
  databaseCertificate(...addresses: readonly string[]): Promise<KeyedCertificate> {
    return this.#databases.serverAt(addresses.map((each) => this.network.placed(each)));
  }

  /** A file of a host. */
  file(host: string, name: string): string {
    return join(this.#directory, host, name);
  }

  async startPlant(): Promise<void> {
    const args = ['--from', this.file(PLANT, 'site.json'), '--record', this.#record, '--seed', '7'];
    await this.#spawn(PLANT, 'plant', ['sim', ...args]).untilTold(' at ', START_MAX_MS);
  }

  async startKernel(host: string): Promise<void> {
    const process = this.#spawn(host, 'kernel', ['kernel', this.#kernelFile(host)]);
    await process.untilLog('Kernel listens', START_MAX_MS);
  }

  async startAgent(host: string, server = host): Promise<void> {
    const process = this.#spawn(host, 'agent', ['run', this.file(host, 'site.json'), '--server', server]);
    await process.untilLog('running', START_MAX_MS);
  }

  /** Kills a process of a host as a power cut or a crash would. */
  async kill(host: string, what: 'kernel' | 'agent'): Promise<void> {
    await this.#processes.get(`${host} ${what}`)?.kill('SIGKILL');
  }

  /** Stops a process of a host as a service manager would. */
  async stop(host: string, what: 'kernel' | 'agent'): Promise<void> {
    await this.#processes.get(`${host} ${what}`)?.kill('SIGTERM');
  }

  /** `kom kernel switch` at the Kernel of a host. @throws what it prints, if it is refused */
  async switchKernel(host: string, to: string, ...options: readonly string[]): Promise<void> {
    const args = ['kernel', 'switch', this.#kernelFile(host), '--to', to, ...options];
    const { code, stdout, stderr } = await kom(args);
    if (code !== 0) throw new Error(`kom ${args.join(' ')}: ${stdout}${stderr}`);
  }

  /** So many Kernels, or all of the figure, are in the in-sync set, and the hot one takes sessions. */
  async untilInSync(host: string, count = Object.keys(this.figure.kernels).length): Promise<void> {
    await until(
      `${count} Kernels in sync`,
      async () => {
        const { group } = await this.#kernelStatus(host);
        return group?.inSync.length === count && group.takesSessions;
      },
      CATCH_UP_MAX_MS,
    );
  }

  /** The Kernel of a host raises an alarm whose text has this in it. */
  async untilAlarm(host: string, code: KernelAlarm['code'], has: string): Promise<void> {
    const isRaised = async () => {
      const { alarms } = await this.#kernelStatus(host);
      return alarms.some((alarm) => alarm.code === code && alarm.text.includes(has));
    };
    await until(`${host} to raise ${code}`, isRaised, START_MAX_MS);
  }

  /** The Kernel of a host shares its archive, and is hot. */
  async untilHot(host: string): Promise<void> {
    const isHot = async () => (await this.#kernelStatus(host)).sharing?.takesSessions === true;
    await until(`${host} to be hot`, isHot, CATCH_UP_MAX_MS);
  }

  /** The Kernel of a host shares its archive, and knows that another one is hot. */
  async untilStandby(host: string): Promise<void> {
    const isFollowing = async () => {
      const { sharing } = await this.#kernelStatus(host);
      return sharing !== null && sharing.role === 'standby' && !['', host].includes(sharing.hot);
    };
    await until(`${host} to stand by`, isFollowing, CATCH_UP_MAX_MS);
  }

  async #kernelStatus(host: string): Promise<KernelStatus> {
    const { config } = await loadKernelConfig(this.#kernelFile(host));
    const path = config.controlSocket;
    for await (const item of callControl({ ...this.#world, path, method: 'status' }))
      return item as KernelStatus;
    throw new Error(`the Kernel of ${host} does not answer`);
  }

  async untilRole(server: string, process: string, role: 'active' | 'standby'): Promise<void> {
    const holds = async (): Promise<boolean> => (await this.status(server, process)).member?.role === role;
    await until(`${process} on ${server} to be ${role}`, holds, START_MAX_MS);
  }

  async status(server: string, process?: string, host = server): Promise<InstanceStatus> {
    const { site } = await loadSite(this.file(host, 'site.json'));
    const path = site.servers.find(({ name }) => name === server)?.controlSocket ?? '';
    for await (const item of callControl({ ...this.#world, path, method: 'status' })) {
      const { instances } = item as AgentStatus;
      const found = instances.find((each) => process === undefined || each.process === process);
      if (found !== undefined) return found;
    }
    throw new Error(`${server} does not answer`);
  }

  async untilStatus(
    what: string,
    server: string,
    holds: (status: InstanceStatus) => boolean,
    host = server,
  ): Promise<void> {
    const check = async (): Promise<boolean> => holds(await this.status(server, undefined, host));
    await until(`${server}: ${what}`, check, START_MAX_MS);
  }

  /** Everything is delivered, and what comes now is on its way at once. */
  async untilOnline(server: string, host = server): Promise<void> {
    await this.untilStatus('online', server, ({ backlog }) => backlog.state === 'online', host);
  }

  /**
   * Holds the archive of a Kernel against what the devices say that they served. What was not observed may be
   * declared, and what a machine had not delivered when it died: no figure loses more, so a gap of another
   * reason is none that excuses a loss.
   */
  async prove(host: string): Promise<Proof> {
    const { clock } = this.#world;
    const untilUs = clock.wallUs();
    await sleep(SETTLE_MS);
    const { config } = await loadKernelConfig(this.#kernelFile(host));
    const remote = remoteQueries((method, params) =>
      callControl({ ...this.#world, path: config.controlSocket, method, params }),
    );
    const lostBy = new Set<string>();
    const query = (asked: TagQuery): AsyncIterable<QueryLine> => watched(remote.query(asked), lostBy);
    const served = readServed(this.#record, this.site);
    const queries = { ...remote, query };
    const proof = await proveSite({ site: this.site, served, queries, untilUs, nowUs: clock.wallUs() });
    if (lostBy.size === 0) return proof;
    const finding = `what was numbered is a gap: ${[...lostBy].join(', ')}`;
    return { ...proof, ok: false, findings: [finding, ...proof.findings] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#processes.values()) await process[Symbol.asyncDispose]();
    await this.#others[Symbol.asyncDispose]();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  get #record(): string {
    return this.file(PLANT, 'served.jsonl');
  }

  #kernelFile(host: string): string {
    return this.file(host, this.figure.kernels[host]?.file ?? 'kernel.json');
  }

  #spawn(host: string, what: 'plant' | 'kernel' | 'agent', args: readonly string[]): Kom {
    const namespace = this.network.namespaceOf(host);
    const process = new Kom(args, namespace === undefined ? {} : { namespace });
    this.#processes.set(`${host} ${what}`, process);
    return process;
  }
}

/** The same lines; reasons of numbered values that are lost, and need not be, are added to `lostBy`. */
async function* watched(lines: AsyncIterable<QueryLine>, lostBy: Set<string>): AsyncGenerator<QueryLine> {
  for await (const line of lines) {
    if (line.kind === 'segment' && LOSSES.has(line.reason ?? '')) lostBy.add(line.reason ?? '');
    yield line;
  }
}

function placeExample(from: string, to: string, network: Network): void {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) {
    writeFileSync(join(to, name), network.placed(readFileSync(join(from, name), 'utf8')));
  }
}

/** What `kom pki init` makes of the site file; one whose links stay within a machine needs nothing. */
async function certify(office: string, figure: Figure, network: Network): Promise<void> {
  const file = join(office, 'site.json');
  mkdirSync(join(office, 'pki'));
  if (!('tls' in JSON.parse(readFileSync(file, 'utf8')))) return;
  const kernels = Object.entries(figure.kernels).flatMap(([name, { addresses }]) => {
    return ['--kernel', `${name}=${addresses.map((each) => network.placed(each)).join()}`];
  });
  const { code, stdout, stderr } = await kom(['pki', 'init', file, ...kernels]);
  if (code !== 0) throw new Error(`kom pki init failed: ${stdout}${stderr}`);
}

/** What belongs on a host: the files of the example, and its certificates where it has any. */
function equip(host: string, { office, directory }: { office: string; directory: string }): void {
  const own = join(directory, host);
  cpSync(office, own, { recursive: true, filter: (path) => !path.includes('/office/pki') });
  const folders = readdirSync(join(office, 'pki'));
  if (folders.includes(host)) copyFolder(join(office, 'pki', host), join(own, 'tls', host));
  if (folders.includes(`kernel.${host}`))
    copyFolder(join(office, 'pki', `kernel.${host}`), join(own, 'tls/kernel'));
  mkdirSync(join(own, 'secrets'));
  for (const [name, password] of Object.entries(DATABASE_SECRETS)) {
    writeFileSync(join(own, name), `${password}\n`, { mode: 0o600 });
  }
}

function trustDatabases(own: string, authority: TestAuthority): void {
  mkdirSync(join(own, 'tls'), { recursive: true });
  writeFileSync(join(own, DATABASE_CA), authority.certificate);
}

function copyFolder(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  cpSync(from, to, { recursive: true });
}
