import { ClassStore } from '../../src/agent/class-store.ts';
import { ForwardRing } from '../../src/buffer/forward-ring.ts';
import type { KernelGroupSettings } from '../../src/config/model/kernel.ts';
import type { BufferSettings } from '../../src/config/model.ts';
import { WIRED } from '../../src/config/uplink.fixture.ts';
import type { Dictionary } from '../../src/domain/dictionary.ts';
import { ReignKeeper } from '../../src/kernel/group/reign-keeper.ts';
import { KernelServer } from '../../src/kernel/server.ts';
import { SeenEpochs } from '../../src/uplink/epochs.ts';
import { Uplink } from '../../src/uplink/uplink.ts';
import { silentLog } from '../../src/world/log.ts';
import { SideStore } from '../../src/world/side-store.ts';
import { SimulatedArchive } from '../../src/world/simulated/archive.ts';
import { SimulatedClock } from '../../src/world/simulated/clock.ts';
import { SimulatedDisk } from '../../src/world/simulated/disk.ts';
import { SimulatedNetwork } from '../../src/world/simulated/network.ts';
import { createSimulatedRandom } from '../../src/world/simulated/random.ts';
import { Life } from '../simulation/life.ts';

export type Name = 'A' | 'B' | 'C' | 'D';

const BUFFER: BufferSettings = {
  ...{ store: 'always', capacityBytes: 8_000_000, freeDiskFloorBytes: 0, alarmShare: 0 },
  ...{ whenFull: 'drop-oldest', powerCutLossMaxMs: 1000, blockAgeMs: 250, spillAgeMs: 500 },
  ...{ aliveMarkMs: 5000, windowBytes: 400_000 },
};

/** One Kernel's machine. */
interface Machine {
  archive: SimulatedArchive;
  disk: SimulatedDisk;
  life: Life | null;
  server: KernelServer | null;
}

export interface WorldOptions {
  readonly names?: readonly Name[];
  /** Kernels that the site file names, though they may not run yet. */
  readonly known?: readonly Name[];
  readonly ackPolicy?: KernelGroupSettings['ackPolicy'];
  readonly ringBytes?: number;
  readonly seed?: number;
}

/** Several Kernels, each with its archive and its disk, and an agent that knows all of them. */
export class KernelsWorld {
  readonly clock = new SimulatedClock();
  readonly random;
  readonly network;
  readonly machines = new Map<Name, Machine>();
  readonly #options: WorldOptions;
  store!: ClassStore;
  uplink!: Uplink;
  #made = 0;
  #group: readonly Name[];

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.#group = options.names ?? ['A', 'B'];
    this.random = createSimulatedRandom(options.seed ?? 5);
    this.network = new SimulatedNetwork({ clock: this.clock, random: this.random });
    for (const name of this.names) this.machines.set(name, this.#newMachine());
  }

  get names(): readonly Name[] {
    return this.#options.names ?? ['A', 'B'];
  }

  machine(name: Name): Machine {
    const machine = this.machines.get(name);
    if (machine === undefined) throw new Error(`no Kernel ${name}`);
    return machine;
  }

  server(name: Name): KernelServer {
    const { server } = this.machine(name);
    if (server === null) throw new Error(`Kernel ${name} does not run`);
    return server;
  }

  status(name: Name) {
    const { group } = this.server(name);
    if (group === null) throw new Error(`Kernel ${name} is the only one`);
    return group.status;
  }

  /** The others of a group, as the file of one of them names them. */
  others(name: Name, group: readonly Name[]) {
    const rest = group.filter((each) => each !== name);
    return rest.map((each) => ({ name: each, addresses: [{ host: each, port: 3119 }], insecure: true }));
  }

  /** Every running Kernel takes a new file, one after the other; who is new begins with it. */
  async regroup(group: readonly Name[]): Promise<void> {
    this.#group = group;
    for (const name of group) {
      if (this.machines.has(name)) this.server(name).group?.reload(this.others(name, group));
      else {
        this.machines.set(name, this.#newMachine());
        await this.startKernel(name);
      }
      await this.produce(300);
    }
  }

  async startKernel(name: Name): Promise<void> {
    const machine = this.machine(name);
    const { archive, disk } = machine;
    const life = new Life(this.clock, { offsetUs: 0 });
    machine.life = life;
    const { clock } = life;
    const log = silentLog;
    const { ringBytes = 8_000_000, ackPolicy = 'in-sync' } = this.#options;
    const lived = life.disk(disk);
    const settings: KernelGroupSettings = {
      ...{ name, ackPolicy, firstRole: name === 'A' ? 'hot' : 'standby' },
      kernels: this.others(name, this.#group),
      ring: { directory: '', capacityBytes: ringBytes },
    };
    const segmentBytes = Math.floor(ringBytes / 10);
    const ring = await ForwardRing.open({ disk: lived, capacityBytes: ringBytes, segmentBytes, clock, log });
    const keeper = await ReignKeeper.load(new SideStore(lived, 'notes'));
    const transport = life.transport(this.network.host(name));
    const server = new KernelServer({
      ...{ archive: life.archive(archive), programVersion: 'test', clock, random: this.random, log },
      group: { settings, ring, keeper, transport },
    });
    machine.server = server;
    await transport.listen({ host: name, port: 3119 }, (connection) => server.accept(connection));
  }

  /** As by SIGKILL; what is durable stays. */
  kill(name: Name): void {
    const machine = this.machine(name);
    machine.life?.kill();
    machine.life = null;
    machine.server = null;
    machine.disk.killProcess();
    this.network.killHost(name);
  }

  /** A new machine takes the place of one that was killed. */
  replace(name: Name): void {
    this.machines.set(name, this.#newMachine());
  }

  async startAgent(): Promise<void> {
    const { clock, random, network } = this;
    const disk = new SimulatedDisk(clock, random);
    const log = silentLog;
    this.store = await ClassStore.open({
      ...{ disk, buffer: BUFFER, share: 1, dictionary: DICTIONARY, tagIndexes: [0], clock, random, log },
      ...{ bootId: 'b'.repeat(32), overloadEnded: () => {} },
    });
    this.uplink = new Uplink({
      kernels: (this.#options.known ?? this.names).map((host) => ({
        host,
        port: 3119,
        insecure: true,
        localAddresses: {},
      })),
      server: 'Server1',
      identity: { programVersion: 'test', site: 'S', process: 'P', instance: 1, siteHash: 'a'.repeat(32) },
      ...{ settings: WIRED, sources: [this.store.source], transport: network.host('agent') },
      epochs: await SeenEpochs.load(new SideStore(disk, 'notes'), log),
      ...{ clock, random, log },
    });
    void this.uplink.run(new AbortController().signal);
  }

  async start(): Promise<void> {
    for (const name of this.names) await this.startKernel(name);
    await this.startAgent();
  }

  /** Samples at a pace for a time. */
  async produce(forMs: number, perStep = 5): Promise<void> {
    for (const endMs = this.clock.monotonicMs() + forMs; this.clock.monotonicMs() < endMs; ) {
      const entries = Array.from({ length: perStep }, () => ({
        ...{
          tagIndex: 0,
          sourceTimeUs: this.clock.wallUs(),
          value: Math.sin(++this.#made) * 1e6,
          quality: 0,
        },
        cause: 'change' as const,
      }));
      this.store.accept(entries);
      await this.clock.advance(100);
    }
  }

  get streamId(): string {
    return this.store.source.streamId;
  }

  /** What an archive has of the agent's stream. */
  coverage(name: Name) {
    return this.machine(name).archive.coverage(this.streamId);
  }

  /** Up to where the agent's stream is acknowledged. */
  get ackedThrough(): number {
    return this.store.ring.streams().find(({ info }) => info.streamId === this.streamId)?.ackedThrough ?? 0;
  }

  /** Everything that was numbered is in this archive, as data, each row once. */
  async hasAll(name: Name): Promise<boolean> {
    const last = this.store.source.producedTo();
    const [only, another] = await this.coverage(name);
    const isAll = another === undefined && only?.first === 1 && only.state === 'data' && only.last === last;
    if (!isAll) return false;
    const query = { site: 'S', tag: 'P.T', fromUs: 0, toUs: Number.MAX_SAFE_INTEGER, limit: 1_000_000 };
    const rows = await this.machine(name).archive.samples(query);
    if (rows.length !== this.#made) throw new Error(`${rows.length} rows of ${this.#made}`);
    return new Set(rows.map(({ value }) => value)).size === this.#made;
  }

  /** Lets time pass until something is so; throws after a while. Returns how long it took. */
  async until(what: string, isSo: () => boolean | Promise<boolean>, maxMs = 60_000): Promise<number> {
    const fromMs = this.clock.monotonicMs();
    while (!(await isSo())) {
      if (this.clock.monotonicMs() - fromMs > maxMs) throw new Error(`it never came: ${what}`);
      await this.clock.advance(50);
    }
    return this.clock.monotonicMs() - fromMs;
  }

  /** A command that takes virtual time. */
  async resolve<T>(promise: Promise<T>): Promise<T> {
    let isOver = false;
    const watched = promise.finally(() => {
      isOver = true;
    });
    watched.catch(() => {});
    await this.until('an answer', () => isOver, 120_000);
    return await watched;
  }

  #newMachine(): Machine {
    const disk = new SimulatedDisk(this.clock, this.random);
    return { archive: new SimulatedArchive(), disk, life: null, server: null };
  }
}

const DICTIONARY: Dictionary = {
  site: 'S',
  process: 'P',
  tags: [{ name: 'P.T', station: 'P', class: 'measurement', type: 'float64', unit: '', formerly: [] }],
};
