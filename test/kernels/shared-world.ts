import { RoleNotes } from '../../src/kernel/group/shared/role-notes.ts';
import { SharedServers } from '../../src/kernel/group/shared/shared-servers.ts';
import type { SharedStatus } from '../../src/kernel/group/shared/shared-status.ts';
import { KernelServer } from '../../src/kernel/server.ts';
import type { AuditEntry } from '../../src/ops/audit.ts';
import { silentLog } from '../../src/world/log.ts';
import { SimulatedClock } from '../../src/world/simulated/clock.ts';
import { SimulatedNetwork } from '../../src/world/simulated/network.ts';
import { createSimulatedRandom } from '../../src/world/simulated/random.ts';
import { Life } from '../simulation/life.ts';
import { SharedDatabase } from '../simulation/shared-database.ts';
import { WorldAgent } from './world-agent.ts';

export type SharedName = 'A' | 'B' | 'C';

interface Machine {
  readonly life: Life;
  readonly servers: SharedServers;
}

/** Kernels that share a database, and an agent that knows all of them, on virtual time. */
export class SharedWorld {
  readonly clock = new SimulatedClock();
  readonly random;
  readonly network;
  readonly #shared;
  readonly machines = new Map<SharedName, Machine>();
  readonly #names: readonly SharedName[];
  readonly #audits = new Map<SharedName, AuditEntry[]>();
  agent!: WorldAgent;

  constructor(names: readonly SharedName[] = ['A', 'B'], seed = 5) {
    this.#names = names;
    this.random = createSimulatedRandom(seed);
    this.network = new SimulatedNetwork({ clock: this.clock, random: this.random });
    this.#shared = new SharedDatabase(this.clock);
  }

  /** All of them, the first one hot, with an agent that delivers. */
  async start(): Promise<void> {
    for (const name of this.#names) {
      await this.startKernel(name);
      await this.clock.advance(500);
    }
    this.agent = await WorldAgent.start(this.#names, this);
    await this.until('a hot Kernel', () => this.hot === this.#names[0]);
    await this.agent.produce(1000);
  }

  async startKernel(name: SharedName): Promise<void> {
    const life = new Life(this.clock, { offsetUs: 0 });
    const { clock } = life;
    const audited = this.#auditOf(name);
    const common = { programVersion: 'test', clock, random: this.random, log: silentLog };
    const servers = new SharedServers({
      ...{ ...common, name, shared: this.#shared.of(name, life) },
      notes: new RoleNotes({
        ...common,
        random: createSimulatedRandom(7),
        name,
        audit: { write: async (entry) => void audited.push(entry) },
      }),
      makeServer: (archive, role) => new KernelServer({ ...common, archive, role }),
    });
    this.machines.set(name, { life, servers });
    const take = (connection: Parameters<KernelServer['accept']>[0]): void =>
      servers.current.server.accept(connection);
    await life.transport(this.network.host(name)).listen({ host: name, port: 3119 }, take);
    servers.start();
  }

  /** What the audit of a Kernel has of its role. */
  audited(name: SharedName): string[] {
    return this.#auditOf(name).map(({ name: what, text }) => `${what}: ${text}`);
  }

  #auditOf(name: SharedName): AuditEntry[] {
    const entries = this.#audits.get(name) ?? [];
    this.#audits.set(name, entries);
    return entries;
  }

  get database() {
    return this.#shared.database;
  }

  machine(name: SharedName): Machine {
    const machine = this.machines.get(name);
    if (machine === undefined) throw new Error(`Kernel ${name} does not run`);
    return machine;
  }

  group(name: SharedName) {
    return this.machine(name).servers.group;
  }

  status(name: SharedName): SharedStatus {
    return this.group(name).status;
  }

  /** The one that takes sessions; `null`: none. @throws if it is more than one */
  get hot(): SharedName | null {
    const taking = [...this.machines].filter(([, { servers }]) => servers.group.takesSessions);
    if (taking.length > 1) throw new Error(`${taking.map(([name]) => name).join(' and ')} are hot`);
    return taking[0]?.[0] ?? null;
  }

  /** As by SIGKILL: the server sees that its connections are closed. */
  kill(name: SharedName): void {
    this.machine(name).life.kill();
    this.machines.delete(name);
    this.network.killHost(name);
    this.database.vanish(name);
  }

  /** What it asks the database gets no answer, and the database hears nothing of it. */
  cutOff(name: SharedName, isCut: boolean): void {
    this.#shared.cutOff(name, isCut);
  }

  /** One of them cannot know what became of its session. */
  get isAnyBlind(): boolean {
    return this.#shared.isAnyCutOff || [...this.machines.values()].some(({ life }) => life.isStalled);
  }

  /** Lets time pass, with values, until something is so. Returns how long it took. */
  async until(what: string, isSo: () => boolean | Promise<boolean>, maxMs = 60_000): Promise<number> {
    const fromMs = this.clock.monotonicMs();
    while (!(await isSo())) {
      if (this.clock.monotonicMs() - fromMs > maxMs) throw new Error(`it never came: ${what}`);
      await this.clock.advance(50);
    }
    return this.clock.monotonicMs() - fromMs;
  }

  /** How far the agent's stream was seen to be complete, integer µs. */
  async observedUntilUs(): Promise<number> {
    const streams = await this.database.stored.streams('S', 'P');
    return streams.find(({ streamId }) => streamId === this.agent.streamId)?.observedUntilUs ?? 0;
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

  /** Everything is archived once, and no transaction came behind one of a later reign. */
  async expectWhole(): Promise<void> {
    await this.until('all in the archive', () => this.agent.isWhollyIn(this.database.stored));
    await this.until(
      'all acknowledged',
      () => this.agent.ackedThrough === this.agent.store.source.producedTo(),
    );
    const { written } = this.database;
    const sorted = written.toSorted((one, other) => one - other);
    if (written.some((epoch, at) => epoch !== sorted[at])) throw new Error(`written in epochs ${written}`);
  }
}
