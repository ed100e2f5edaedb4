import type { KernelGroupSettings } from '../../src/config/model/kernel.ts';
import type { BlockHeader } from '../../src/domain/block/block.ts';
import { KomError } from '../../src/domain/errors.ts';
import type { PresenceOf } from '../../src/kernel/archive/segments.ts';
import type { KernelGroup } from '../../src/kernel/group/group.ts';
import type { GroupPlace } from '../../src/kernel/group/group-options.ts';
import { openGroup } from '../../src/kernel/group/open-group.ts';
import type { SharedGroup } from '../../src/kernel/group/shared/shared-group.ts';
import { SharedServers } from '../../src/kernel/group/shared/shared-servers.ts';
import type { KernelRole, Switchable } from '../../src/kernel/kernel-role.ts';
import { presenceOf } from '../../src/kernel/queries.ts';
import { KernelServer } from '../../src/kernel/server.ts';
import type { Archive, ArchiveTransaction } from '../../src/world/archive.ts';
import { SimulatedArchive } from '../../src/world/simulated/archive.ts';
import type { SimulatedClock } from '../../src/world/simulated/clock.ts';
import type { SimulatedDisk } from '../../src/world/simulated/disk.ts';
import type { SimulatedNetwork } from '../../src/world/simulated/network.ts';
import { createSimulatedRandom, type SimulatedRandom } from '../../src/world/simulated/random.ts';
import type { Transport } from '../../src/world/transport.ts';
import { delegated } from './delegate.ts';
import type { History } from './history.ts';
import type { KernelsOptions } from './kernels-options.ts';
import { Life, type WallClock } from './life.ts';
import type { Mutation } from './mutations.ts';
import { refusing } from './refusing.ts';
import type { SharedDatabase } from './shared-database.ts';
import { KERNEL_PORT } from './site.ts';

export type CommitMoment = 'before' | 'in' | 'after';

/** What a Kernel knows of the others. */
export interface GroupSetup extends KernelsOptions {
  readonly others: readonly string[];
  readonly firstRole: 'hot' | 'standby';
  /** The disk of the forwarding ring. */
  readonly newDisk: () => SimulatedDisk;
}

export interface KernelHostSetup {
  readonly clock: SimulatedClock;
  readonly network: SimulatedNetwork;
  readonly host: string;
  /** It is one of several Kernels. */
  readonly group: GroupSetup | null;
  /** Its archive is that of the others too. */
  readonly shared: SharedDatabase | null;
  readonly transport: Transport;
  readonly random: SimulatedRandom;
  /** Two Kernels never mint the same id. */
  readonly salt: number;
  readonly commitMs: number;
  readonly seed: number;
  readonly history: History;
  readonly mutation: Mutation;
  /** Which blocks a Kernel refuses that this one gives it; `null`: none. */
  readonly refusedBy: (to: string) => ((block: BlockHeader) => boolean) | null;
  readonly failed: (error: unknown) => void;
}

/**
 * The Kernel's machine: what its archive committed stays, its processes come and go. A transaction takes
 * time, and is in the archive somewhere within it, so that a crash finds it there, or not, whole.
 */
export class KernelHost {
  readonly #setup: KernelHostSetup;
  readonly #wall: WallClock = { offsetUs: 0 };
  #stored: SimulatedArchive;
  #disk: SimulatedDisk | null;
  #life: Life | null = null;
  #server: KernelServer | null = null;
  #sharing: SharedServers | null = null;
  #starts = 0;
  isArchiveAvailable = true;
  /** Of the blocks that other Kernels give it, how many it refuses. */
  refusedShare = 0;
  /** Time of one transaction. */
  commitMs: number;
  /** Sees each transaction: before it, in the archive but not yet told, and told. */
  onCommit: (when: CommitMoment) => void = () => {};

  constructor(setup: KernelHostSetup) {
    this.#setup = setup;
    this.commitMs = setup.commitMs;
    this.#stored = setup.shared?.database.stored ?? new SimulatedArchive();
    this.#disk = setup.group?.newDisk() ?? null;
  }

  get isRunning(): boolean {
    return this.#life !== null;
  }

  start(): void {
    const { clock, history, failed, host, group, shared, network } = this.#setup;
    network.switchOff(host, false);
    const life = new Life(clock, this.#wall);
    this.#starts += 1;
    this.#life = life;
    history.note(`${host}: starts`);
    if (shared !== null) this.#share(life, shared);
    else if (group === null || this.#disk === null) this.#serve(life);
    else this.#openGroup(life, group, this.#disk).catch(failed);
  }

  #share(life: Life, database: SharedDatabase): void {
    const { transport, seed, salt, history, failed, host: name, mutation } = this.#setup;
    const random = createSimulatedRandom(seed * 2003 + this.#starts + salt);
    const common = { clock: life.clock, log: history.log(name), programVersion: 'simulated', random };
    const own = database.of(name, life);
    const shared = mutation.shared?.(own) ?? own;
    const makeServer = (archive: Archive, role: KernelRole) => new KernelServer({ ...common, archive, role });
    const servers = new SharedServers({ ...common, name, shared, makeServer });
    this.#sharing = servers;
    life
      .transport(transport)
      .listen({ host: name, port: KERNEL_PORT }, (connection) => servers.current.server.accept(connection))
      .catch(failed);
    servers.start();
  }

  async #openGroup(life: Life, group: GroupSetup, disk: SimulatedDisk): Promise<void> {
    const { host: name, history, mutation, refusedBy } = this.#setup;
    const transport = refusing(life.transport(this.#setup.transport), refusedBy);
    const { ackPolicy, firstRole, others, ringBytes: capacityBytes } = group;
    const settings: KernelGroupSettings = {
      ...{ name, ackPolicy, firstRole },
      kernels: others.map((other) => {
        return { name: other, addresses: [{ host: other, port: KERNEL_PORT }], insecure: true };
      }),
      ring: { directory: '', capacityBytes },
    };
    const place = { clock: life.clock, log: history.log(name) };
    const stores = await openGroup(life.disk(mutation.disk?.(disk) ?? disk), settings, place);
    this.#serve(life, { settings, ...stores, transport });
  }

  #serve(life: Life, group?: GroupPlace): void {
    const { transport, seed, salt, history, failed, host } = this.#setup;
    const archive = life.archive(this.#archive());
    const server = new KernelServer({
      archive,
      programVersion: 'simulated',
      clock: life.clock,
      random: createSimulatedRandom(seed * 2003 + this.#starts + salt),
      log: history.log(host),
      ...(group === undefined ? {} : { group }),
    });
    if (server.group !== null) this.#setup.mutation.group?.(server.group);
    this.#server = server;
    life
      .transport(transport)
      .listen({ host, port: KERNEL_PORT }, (connection) => server.accept(connection))
      .catch(failed);
  }

  /** What serves now; `null` while it does not run. */
  get server(): KernelServer | null {
    return this.#sharing?.current.server ?? this.#server;
  }

  /** Agents are welcome here now. */
  get takesSessions(): boolean {
    return (this.#sharing ?? this.#server)?.group?.takesSessions === true;
  }

  /** What an operator switches; `null` while it does not run, or is alone. */
  get switchable(): Switchable | null {
    return (this.#sharing ?? this.#server)?.group ?? null;
  }

  /** This Kernel among those that share its archive; `null` while it does not run. */
  get sharing(): SharedGroup | null {
    return this.#sharing?.group ?? null;
  }

  /** This Kernel among the others; `null` while it does not run. */
  get group(): KernelGroup | null {
    return this.#server?.group ?? null;
  }

  get host(): string {
    return this.#setup.host;
  }

  get archive(): SimulatedArchive {
    return this.#stored;
  }

  /** Another machine takes its place, with nothing but its name. */
  replace(): void {
    this.crash();
    this.#setup.history.note(`${this.host}: replaced`);
    this.#stored = new SimulatedArchive();
    this.#disk = this.#setup.group?.newDisk() ?? null;
  }

  crash(): void {
    this.#end('crashes', (disk) => disk.killProcess());
    // The database sees that its connections are closed.
    this.#setup.shared?.database.vanish(this.host);
  }

  /** The machine answers nothing until it is started. */
  cutPower(): void {
    this.#setup.network.switchOff(this.host, true);
    this.#end('power-cut', (disk) => disk.cutPower());
  }

  #end(how: string, endDisk: (disk: SimulatedDisk) => void): void {
    const { history, host, network } = this.#setup;
    history.note(`${host}: ${how}`);
    this.#life?.kill();
    this.#life = null;
    this.#server = null;
    this.#sharing = null;
    if (this.#disk !== null) endDisk(this.#disk);
    network.killHost(host);
  }

  get isStalled(): boolean {
    return this.#life?.isStalled ?? false;
  }

  /** What an operator's queries would know of the agents now. */
  get presence(): PresenceOf {
    const { server } = this;
    if (server === null || this.#life === null) throw new Error('the Kernel does not run');
    return presenceOf(server, this.#life.clock);
  }

  /** Makes durable how far streams are observed, as an operator's query does. */
  async storeObserved(): Promise<void> {
    await this.server?.storeObserved();
  }

  stall(ms: number): void {
    this.#life?.stall(ms);
  }

  get archiveError(): string | null {
    return this.server?.archiveTrouble?.error ?? null;
  }

  #archive(): SimulatedArchive {
    const { mutation, clock, random } = this.#setup;
    const archive = mutation.archive?.(this.#stored) ?? this.#stored;
    const check = () => {
      if (!this.isArchiveAvailable) throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'simulated');
    };
    return delegated(archive, {
      close: async () => undefined,
      putDictionary: async (hash, bytes, dictionary) => {
        check();
        await archive.putDictionary(hash, bytes, dictionary);
      },
      commit: async (transaction: ArchiveTransaction) => {
        check();
        const { commitMs } = this;
        const beforeMs = commitMs * random.fraction();
        const life = this.#life;
        if (beforeMs > 0) await clock.sleep(beforeMs);
        this.onCommit('before');
        // A process that died meanwhile did not get so far.
        if (life !== this.#life) throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'the process is gone');
        check();
        await archive.commit(transaction);
        this.onCommit('in');
        if (commitMs > 0) await clock.sleep(commitMs - beforeMs);
        this.onCommit('after');
      },
    });
  }
}
