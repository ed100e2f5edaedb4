import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InstanceStatus } from '../../src/agent/instance.ts';
import { proveSite } from '../../src/cli/demo/prove.ts';
import { realWorld } from '../../src/cli/world.ts';
import { loadSite } from '../../src/config/load.ts';
import type { Site, StorePolicy } from '../../src/config/model.ts';
import { openDuckdbArchive } from '../../src/kernel/archive/duckdb-archive.ts';
import type { SharedStatus } from '../../src/kernel/group/shared/shared-status.ts';
import type { KernelStatus } from '../../src/kernel/kernel.ts';
import { remoteQueries } from '../../src/kernel/queries.ts';
import { callControl } from '../../src/ops/control.ts';
import { Plant } from '../../src/sim/plant.ts';
import type { Proof } from '../../src/sim/proof.ts';
import type { ServedValue } from '../../src/sim/record.ts';
import type { Archive } from '../../src/world/archive.ts';
import { silentLog } from '../../src/world/log.ts';
import { formatAddress } from '../../src/world/transport.ts';
import { type Finished, Kom, kom } from '../integration/support/kom.ts';
import { writeSiteFile } from '../integration/support/site.ts';
import { freePort, sleep, until } from '../integration/support/until.ts';
import { HeldSocket } from './held-socket.ts';
import { putPast } from './past.ts';

/** Blocks are sealed at 250 ms, committed at the hot Kernel, given, and committed once more. */
const SETTLE_MS = 3000;
const START_MAX_MS = 30_000;
/** Who lacks nothing older than this follows. */
const FOLLOWS_MS = 1000;
/** A past takes its time. */
const REFILL_MAX_MS = 600_000;
const DAY_US = 86_400_000_000;

/** Each at an address of its own, as on machines of their own. */
const HOSTS = { KernelA: '127.0.0.1', KernelB: '127.0.0.2', KernelC: '127.0.0.3', KernelD: '127.0.0.4' };
export type KernelName = keyof typeof HOSTS;
/** Those that are there from the start. */
const PAIR: readonly KernelName[] = ['KernelA', 'KernelB'];

export interface RealOptions {
  readonly withTls?: boolean;
  /** Of the agent; `always` if not given. */
  readonly store?: StorePolicy;
  /** Of the Kernels; `in-sync` if not given. */
  readonly ackPolicy?: 'in-sync' | 'hot';
  /** Of the forwarding rings; 200MB if not given. */
  readonly ringCapacity?: string;
  /** Numbers of a past that the archive of `KernelA` begins with, see `putPast`. */
  readonly past?: number;
  /** The second one is still being filled with it when everything runs. */
  readonly isFilledLater?: boolean;
  /** Of the processes of Kernels. */
  readonly kernelEnv?: (name: KernelName) => Readonly<Record<string, string>>;
  /** They share a schema of this database; else each has an archive of its own. */
  readonly database?: { readonly host: string; readonly schema: string };
  /** Of a Kernel, what its file says, and how it is opened beside it; embedded if not given. */
  readonly archives?: {
    readonly described: (name: KernelName) => Readonly<Record<string, unknown>>;
    readonly open: (name: KernelName) => Promise<Archive>;
  };
}

/**
 * Two Kernels, or later others, and a comm server, each a process of its own, and a plant in this one.
 */
export class RealKernels implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'kom-kernels-'));
  readonly world = realWorld({ level: 'silent', name: 'test' });
  readonly served: ServedValue[] = [];
  readonly #options: RealOptions;
  readonly #kernels = new Map<KernelName, Kom>();
  readonly #ports = new Map<KernelName, number>();
  /** Whom the files of Kernels name. */
  #group: readonly KernelName[] = PAIR;
  site!: Site;
  #plant: Plant | null = null;
  #agent: Kom | null = null;

  static async start(options: RealOptions = {}): Promise<RealKernels> {
    const kernels = new RealKernels(options);
    try {
      await kernels.#start();
      return kernels;
    } catch (error) {
      await kernels[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(options: RealOptions) {
    this.#options = options;
  }

  async #start(): Promise<void> {
    for (const name of this.#group) this.#ports.set(name, await freePort());
    for (const name of this.#group) this.writeKernelFile(name);
    const { past } = this.#options;
    if (past !== undefined) {
      await this.withArchive('KernelA', (archive) =>
        putPast(archive, past, this.world.clock.wallUs() - DAY_US),
      );
    }
    const file = writeSiteFile(this.directory, {
      store: this.#options.store ?? 'always',
      kernels: this.#group.map((name) => ({ host: HOSTS[name], port: this.#port(name) })),
      modbusPort: await freePort(),
    });
    if (this.#options.withTls === true) await this.#issue(file, ['ServerKom1'], this.#group);
    const { site } = await loadSite(file);
    this.site = site;
    const recorder = { served: (value: ServedValue) => void this.served.push(value) };
    this.#plant = await Plant.start(site, { ...this.world, seed: 7, recorder });
    // The first one at a shared database is hot.
    if (this.#options.database !== undefined) await this.startHot('KernelA');
    const rest = this.#group.filter((name) => !this.#kernels.has(name));
    await Promise.all(rest.map((name) => this.startKernel(name)));
    this.#agent = new Kom(['run', join(this.directory, 'site.json')]);
    await this.#agent.untilLog('running', START_MAX_MS);
    const isWaitedFor = this.#options.database === undefined && this.#options.isFilledLater !== true;
    if (isWaitedFor) await this.untilFollowed('KernelA');
    await this.untilAt('KernelA');
  }

  async startKernel(name: KernelName): Promise<void> {
    const { kernelEnv } = this.#options;
    const kernel = new Kom(['kernel', this.#file(name)], { env: kernelEnv?.(name) ?? {} });
    this.#kernels.set(name, kernel);
    await kernel.untilLog('Kernel listens', START_MAX_MS);
  }

  /**
   * Files of Kernels name these from now on. New ones start as standbys, with empty disks; then the others
   * reload.
   */
  async regroup(group: readonly KernelName[]): Promise<void> {
    this.#group = group;
    const fresh = group.filter((name) => !this.#ports.has(name));
    for (const name of fresh) this.#ports.set(name, await freePort());
    for (const name of group) this.writeKernelFile(name);
    const needsIssue = this.#options.withTls === true && fresh.length > 0;
    if (needsIssue) await this.#issue(join(this.directory, 'site.json'), [], fresh);
    await Promise.all(fresh.map((name) => this.startKernel(name)));
    for (const name of group.filter((each) => !fresh.includes(each))) await done(this.reload(name));
  }

  /** The site file names these, and the agent reads it anew: `kom reload`. */
  async reloadAgent(kernels: readonly KernelName[]): Promise<void> {
    const file = join(this.directory, 'site.json');
    const named = kernels.map((name) => ({ address: this.address(name) }));
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), kernels: named }));
    await done(kom(['reload', file]));
  }

  /** The process of the agent. */
  get agent(): Kom {
    if (this.#agent === null) throw new Error('no agent');
    return this.#agent;
  }

  async startHot(name: KernelName): Promise<void> {
    await this.startKernel(name);
    await until(`${name} to be hot`, async () => (await this.sharing(name)).takesSessions, START_MAX_MS);
  }

  /** Sends a signal to a process that goes on. */
  signal(name: KernelName, signal: 'SIGSTOP' | 'SIGCONT'): void {
    process.kill(this.#kernels.get(name)?.pid ?? 0, signal);
  }

  /** What it knows of those that share a database. */
  async sharing(name: KernelName): Promise<SharedStatus> {
    const { sharing } = await this.kernelStatus(name);
    if (sharing === null) throw new Error(`${name} shares nothing`);
    return sharing;
  }

  async kill(name: KernelName, signal: NodeJS.Signals = 'SIGKILL'): Promise<Finished | undefined> {
    const finished = await this.#kernels.get(name)?.kill(signal);
    this.#kernels.delete(name);
    return finished;
  }

  address(name: KernelName): string {
    return formatAddress({ host: HOSTS[name], port: this.#port(name) });
  }

  /** It shows the certificate of another machine. */
  certifyAs(name: KernelName, machine: string): void {
    cpSync(join(this.directory, 'pki', machine), join(this.directory, name, 'tls/kernel'), {
      recursive: true,
    });
  }

  /** As a machine with an empty disk takes the place of one that was killed. */
  emptyDisk(name: KernelName): void {
    for (const part of ['archive', 'ring']) {
      rmSync(join(this.directory, name, part), { recursive: true, force: true });
    }
  }

  /** The archive of a Kernel that does not run. */
  async withArchive<T>(name: KernelName, work: (archive: Archive) => Promise<T>): Promise<T> {
    const archive = await (this.#options.archives?.open(name) ?? this.#openEmbedded(name));
    try {
      return await work(archive);
    } finally {
      await archive.close();
    }
  }

  #openEmbedded(name: KernelName): Promise<Archive> {
    const directory = this.archiveDirectory(name);
    return openDuckdbArchive({ directory, memoryLimitBytes: 256e6, log: silentLog });
  }

  archiveDirectory(name: KernelName): string {
    return join(this.directory, name, 'archive');
  }

  /** How many samples the archive of a Kernel that runs has. */
  async samplesAt(name: KernelName): Promise<number> {
    const path = this.#socket(name);
    const queries = remoteQueries((method, params) => callControl({ ...this.world, path, method, params }));
    return (await queries.stat()).samples;
  }

  /** As when far more than it holds has come since; who is hot is kept beside it. */
  outgrowRing(name: KernelName): void {
    const directory = join(this.directory, name, 'ring');
    const segments = readdirSync(directory).filter((each) => each.startsWith('segment-'));
    if (segments.length === 0) throw new Error(`no segments in ${directory}`);
    for (const segment of segments) rmSync(join(directory, segment), { recursive: true });
  }

  /** `kom kernel reload` at one of them. */
  reload(at: KernelName): Promise<Finished> {
    return kom(['kernel', 'reload', this.#file(at)]);
  }

  /** `kom kernel switch` at one of them. */
  switch(at: KernelName, to: KernelName, ...options: readonly string[]): Promise<Finished> {
    return kom(['kernel', 'switch', this.#file(at), '--to', to, ...options]);
  }

  /** The same, as a process that can be interrupted, and that has not reached the Kernel before it may. */
  async switching(at: KernelName, to: KernelName): Promise<{ command: Kom; socket: HeldSocket }> {
    const socket = await HeldSocket.listen(`${this.#socket(at)}.held`, this.#socket(at));
    const command = new Kom(['kernel', 'switch', '--socket', socket.path, '--to', to]);
    return { command, socket };
  }

  async kernelStatus(name: KernelName): Promise<KernelStatus> {
    const path = this.#socket(name);
    for await (const item of callControl({ ...this.world, path, method: 'status' }))
      return item as KernelStatus;
    throw new Error('no status');
  }

  /** All of the group are in the set and nobody else is, as this one knows it. */
  async untilInSync(at: KernelName): Promise<void> {
    const all = this.#group.toSorted().join();
    const isInSync = async () => (await this.kernelStatus(at)).group?.inSync.toSorted().join() === all;
    await until('all in the set', isInSync, this.#options.past === undefined ? START_MAX_MS : REFILL_MAX_MS);
  }

  /** Whoever is hot has handed on all that it has, whatever the policy. */
  async untilFollowed(hot: KernelName): Promise<void> {
    if (this.#options.ackPolicy !== 'hot') return await this.untilInSync(hot);
    const isFollowed = async () => {
      const others = (await this.kernelStatus(hot)).group?.kernels ?? [];
      return others.every(({ behindMs }) => behindMs !== null && behindMs < FOLLOWS_MS);
    };
    await until('the others to follow', isFollowed, START_MAX_MS);
  }

  /** All of the group are in the set of the hot one, and it waits for nobody: it could hand over. */
  async untilComplete(hot: KernelName): Promise<void> {
    await this.untilInSync(hot);
    const isComplete = async () => {
      const { group } = await this.kernelStatus(hot);
      return group?.takesSessions === true && group.kernels.every(({ isConnected }) => isConnected);
    };
    await until('the hot one to wait for nobody', isComplete, START_MAX_MS);
  }

  /** The agent has a session with this one. Returns how long that took, milliseconds. */
  async untilAt(name: KernelName): Promise<number> {
    const startedMs = performance.now();
    const isThere = async () => (await this.agentStatus()).uplink.kernel === this.address(name);
    await until(`a session with ${name}`, isThere, START_MAX_MS);
    return performance.now() - startedMs;
  }

  /** Lets what was served until now arrive, and proves it on the archive of each of the group. */
  async prove(): Promise<Map<KernelName, Proof>> {
    const untilUs = this.world.clock.wallUs();
    await sleep(SETTLE_MS);
    const proofs = new Map<KernelName, Proof>();
    for (const name of this.#group) proofs.set(name, await this.proveAt(name, untilUs));
    return proofs;
  }

  /** What was served until a moment, on the archive of one that runs. */
  async proveAt(name: KernelName, untilUs: number): Promise<Proof> {
    const path = this.#socket(name);
    const queries = remoteQueries((method, params) => callControl({ ...this.world, path, method, params }));
    const nowUs = this.world.clock.wallUs();
    const { site, served } = this;
    return await proveSite({ site, served, queries, untilUs, nowUs, lateMaxMs: 1000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent?.[Symbol.asyncDispose]();
    for (const kernel of this.#kernels.values()) await kernel[Symbol.asyncDispose]();
    await this.#plant?.[Symbol.asyncDispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }

  async agentStatus(): Promise<InstanceStatus> {
    const path = this.site.servers[0]?.controlSocket ?? '';
    for await (const item of callControl({ ...this.world, path, method: 'status' })) {
      const [instance] = (item as { instances: InstanceStatus[] }).instances;
      if (instance !== undefined) return instance;
    }
    throw new Error('no instance');
  }

  /** `kom pki init` for all, and the files of these machines where the program looks for them. */
  async #issue(file: string, servers: readonly string[], kernels: readonly KernelName[]): Promise<void> {
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), tls: {} }));
    const named = this.#group.flatMap((name) => ['--kernel', `${name}=${HOSTS[name]}`]);
    const { code, stderr } = await kom(['pki', 'init', file, ...named]);
    if (code !== 0) throw new Error(stderr);
    const copy = (from: string, to: string) =>
      cpSync(join(this.directory, 'pki', from), join(this.directory, to), { recursive: true });
    for (const name of servers) copy(name, `tls/${name}`);
    for (const name of kernels) copy(`kernel.${name}`, `${name}/tls/kernel`);
  }

  /** `others`: as its file names them; the others of the group if not given. */
  writeKernelFile(name: KernelName, others?: readonly { name: string; addresses: string[] }[]): void {
    const rest = this.#group.filter((each) => each !== name);
    const { database, withTls, ackPolicy } = this.#options;
    mkdirSync(join(this.directory, name), { recursive: true });
    const each = {
      archive: this.#options.archives?.described(name) ?? { directory: './archive', memoryLimit: '128MB' },
      redundancy: {
        ...{ name, firstRole: name === 'KernelA' ? 'hot' : 'standby' },
        kernels: others ?? rest.map((each) => ({ name: each, addresses: [this.address(each)] })),
        ring: { directory: './ring', capacity: this.#options.ringCapacity ?? '200MB' },
        ...(ackPolicy === undefined ? {} : { ackPolicy }),
      },
    };
    const config = {
      listen: this.address(name),
      ...(withTls === true ? { tls: {} } : {}),
      ...(database === undefined ? each : sharedFile(name, database)),
      controlSocket: './kernel.sock',
    };
    writeFileSync(this.#file(name), JSON.stringify(config));
  }

  #file(name: KernelName): string {
    return join(this.directory, name, 'kernel.json');
  }

  #socket(name: KernelName): string {
    return join(this.directory, name, 'kernel.sock');
  }

  #port(name: KernelName): number {
    return this.#ports.get(name) ?? 0;
  }
}

/** @throws Error with what a command said that did not end well */
async function done(running: Promise<Finished>): Promise<void> {
  const { code, stderr } = await running;
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
}

/** The part of a Kernel file that says where the archive is, for Kernels that share one. */
function sharedFile(name: KernelName, { host, schema }: NonNullable<RealOptions['database']>) {
  const postgres = { hosts: [host], database: 'postgres', user: 'postgres', schema };
  return {
    archive: { kind: 'postgres', directory: './archive', postgres },
    redundancy: { name, archive: 'shared' },
  };
}
