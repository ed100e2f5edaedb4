import type { ClassStore } from '../../src/agent/class-store.ts';
import { ForwardRing } from '../../src/buffer/forward-ring.ts';
import type { KernelGroupSettings } from '../../src/config/model/kernel.ts';
import type { BlockHeader } from '../../src/domain/block/block.ts';
import { KomError } from '../../src/domain/errors.ts';
import { AgentDialler } from '../../src/kernel/agent-dialler.ts';
import { ReignKeeper } from '../../src/kernel/group/reign-keeper.ts';
import { KernelServer } from '../../src/kernel/server.ts';
import type { Uplink } from '../../src/uplink/uplink.ts';
import type { Archive } from '../../src/world/archive.ts';
import { type Log, silentLog } from '../../src/world/log.ts';
import { SideStore } from '../../src/world/side-store.ts';
import { SimulatedArchive } from '../../src/world/simulated/archive.ts';
import { SimulatedClock } from '../../src/world/simulated/clock.ts';
import { SimulatedDisk } from '../../src/world/simulated/disk.ts';
import { SimulatedNetwork } from '../../src/world/simulated/network.ts';
import { createSimulatedRandom } from '../../src/world/simulated/random.ts';
import { Life } from '../simulation/life.ts';
import { refusing } from '../simulation/refusing.ts';
import { AGENT, type AgentWays, addressOf, WorldAgent } from './world-agent.ts';

export type Name = 'A' | 'B' | 'C' | 'D';

/** One Kernel's machine. */
interface Machine {
  archive: SimulatedArchive;
  disk: SimulatedDisk;
  life: Life | null;
  /** Its wall clock. */
  readonly wall: { offsetUs: number };
  /** Its archive answers nothing, as a database that was stopped. */
  isArchiveAway: boolean;
  server: KernelServer | null;
  dialler: AgentDialler | null;
}

export interface WorldOptions extends AgentWays {
  readonly names?: readonly Name[];
  readonly ackPolicy?: KernelGroupSettings['ackPolicy'];
  readonly ringBytes?: number;
  readonly seed?: number;
  /** Of a Kernel, by its name, or of the agent; silent if not given. */
  readonly logOf?: (who: string) => Log;
}

/** An archive that may be away. */
function answering(archive: Archive, machine: Machine): Archive {
  return new Proxy(archive, {
    get: (of, key) => {
      const value: unknown = Reflect.get(of, key);
      if (typeof value !== 'function') return value;
      const away = () => new KomError('KOM_ARCHIVE_UNAVAILABLE', 'the database was stopped');
      return (...args: unknown[]) =>
        machine.isArchiveAway ? Promise.reject(away()) : Reflect.apply(value, of, args);
    },
  });
}

/** Several Kernels, each with its archive and its disk, and an agent that knows all of them. */
export class KernelsWorld {
  readonly clock = new SimulatedClock();
  readonly random;
  readonly network;
  readonly machines = new Map<Name, Machine>();
  readonly #options: WorldOptions;
  agent!: WorldAgent;
  /** Whether a Kernel refuses a block that another one gives; `null`: each takes all. */
  refuses: ((name: string, block: BlockHeader) => boolean) | null = null;
  #group: readonly Name[];

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.#group = options.names ?? ['A', 'B'];
    this.random = createSimulatedRandom(options.seed ?? 5);
    this.network = new SimulatedNetwork({ clock: this.clock, random: this.random });
    for (const name of this.names) this.machines.set(name, this.#newMachine());
  }

  logOf(who: string): Log {
    return this.#options.logOf?.(who) ?? silentLog;
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

  /** How it goes with the agent that a Kernel dials. */
  dialled(name: Name) {
    return this.machine(name).dialler?.status;
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

  /** The agent reads a site file that names these, the preferred one first. */
  reloadAgent(kernels: readonly Name[]): void {
    this.uplink.change({ kernels: kernels.map(addressOf), allowFrom: [], siteHash: 'b'.repeat(32) });
  }

  async startKernel(name: Name): Promise<void> {
    await this.#startAt(name, this.machine(name), name);
  }

  /** Another machine of this name, at an address that no file names. Returns what runs there. */
  async startTwin(name: Name): Promise<KernelServer> {
    const machine = this.#newMachine();
    await this.#startAt(name, machine, `${name}-twin`);
    if (machine.server === null) throw new Error('it does not run');
    return machine.server;
  }

  async #startAt(name: Name, machine: Machine, host: string): Promise<void> {
    const { archive, disk } = machine;
    const life = new Life(this.clock, machine.wall);
    machine.life = life;
    const { clock } = life;
    const log = this.logOf(name);
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
    const transport = refusing(life.transport(this.network.host(host)), (to) => {
      const { refuses } = this;
      return refuses === null ? null : (block) => refuses(to, block);
    });
    const server = new KernelServer({
      ...{
        archive: life.archive(answering(archive, machine)),
        programVersion: 'test',
        clock,
        random: this.random,
        log,
      },
      group: { settings, ring, keeper, transport },
    });
    machine.server = server;
    await transport.listen({ host, port: 3119 }, (connection) => server.accept(connection));
    if (this.#options.isDialled === true) machine.dialler = this.dialFrom(name, name);
  }

  /** A Kernel dials the agent from one of its addresses while it is hot. */
  dialFrom(name: Name, host: string): AgentDialler {
    const { life } = this.machine(name);
    const server = this.server(name);
    const dialler = new AgentDialler({
      agent: {
        ...{ site: 'S', process: 'P', addresses: [AGENT], retryMs: 2000, connectTimeoutMs: 5000 },
        insecure: true,
      },
      accept: (connection, dialled) => server.accept(connection, dialled),
      isWanted: () => server.group?.takesSessions === true,
      transport: life?.transport(this.network.host(host)) ?? this.network.host(host),
      ...{ clock: life?.clock ?? this.clock, random: this.random, log: silentLog },
    });
    void dialler.run(new AbortController().signal);
    return dialler;
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
    this.agent = await WorldAgent.start(this.names, this, this.#options);
  }

  async start(): Promise<void> {
    for (const name of this.names) await this.startKernel(name);
    await this.startAgent();
  }

  /** Samples at a pace for a time. */
  produce(forMs: number, perStep?: number): Promise<void> {
    return this.agent.produce(forMs, perStep);
  }

  get store(): ClassStore {
    return this.agent.store;
  }

  get uplink(): Uplink {
    return this.agent.uplink;
  }

  /** Samples at this moment. */
  produceNow(count: number): void {
    this.agent.produceNow(count);
  }

  get streamId(): string {
    return this.agent.streamId;
  }

  /** What an archive has of the agent's stream. */
  coverage(name: Name) {
    return this.machine(name).archive.coverage(this.streamId);
  }

  /** Up to where the agent's stream is acknowledged. */
  get ackedThrough(): number {
    return this.agent.ackedThrough;
  }

  /** Everything that was numbered is in this archive, as data, each row once. */
  hasAll(name: Name): Promise<boolean> {
    return this.agent.isWhollyIn(this.machine(name).archive);
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
    return {
      archive: new SimulatedArchive(),
      disk,
      life: null,
      server: null,
      dialler: null,
      ...{ wall: { offsetUs: 0 }, isArchiveAway: false },
    };
  }
}
