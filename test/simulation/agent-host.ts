import type { ClassStoreStatus } from '../../src/agent/class-store.ts';
import { Instance, type InstanceStatus } from '../../src/agent/instance.ts';
import type { MembershipStatus } from '../../src/agent/membership.ts';
import { openRing } from '../../src/buffer/open-ring.ts';
import type { PowerCutRisk } from '../../src/buffer/power-cut.ts';
import type { Process, Server, Site } from '../../src/config/model.ts';
import type { Driver } from '../../src/drivers/driver.ts';
import type { Phase } from '../../src/redundancy/role-state.ts';
import type { Clock } from '../../src/world/clock.ts';
import type { SimulatedClock } from '../../src/world/simulated/clock.ts';
import type { DiskImage, SimulatedDisk } from '../../src/world/simulated/disk.ts';
import { createSimulatedRandom } from '../../src/world/simulated/random.ts';
import type { Transport } from '../../src/world/transport.ts';
import { Charge } from './charge.ts';
import type { History } from './history.ts';
import { type HostPeers, peerSide } from './host-peers.ts';
import { Life, type WallClock } from './life.ts';
import type { Mutation } from './mutations.ts';
import type { LineOptions } from './options.ts';
import type { Part } from './parts.ts';
import { type Plant, RunRecord } from './plant.ts';

export const AGENT_HOST = 'agent';
/** A second machine with a copy of its disk. */
export const CLONE_HOST = 'clone';

/** What a machine without a real-time clock shows when it starts. */
const UNSET_CLOCK_US = 5_000_000;

/** Where instance 2 runs. */
export const SECOND_HOST = 'agent2';

/** Two machines never mint the same stream. */
const SALTS: Readonly<Record<string, number>> = { [CLONE_HOST]: 500, [SECOND_HOST]: 250 };

/** What one run of the agent is known by afterwards. */
export interface AgentRun {
  readonly record: RunRecord;
  readonly life: Life;
  readonly startedMs: number;
  /** Stores that lost all they knew of it. */
  readonly forgottenBy: Set<Part>;
  /** Of each store; empty when it was killed before it told. */
  readonly streamIds: Map<Part, string>;
  /** What each store said that a power cut may cost, right before it was cut off. */
  readonly risks: Map<Part, PowerCutRisk>;
  end: 'running' | 'clean' | 'killed' | 'power-cut';
  endedMs: number;
  /** A clean stop had begun. */
  wasStopping: boolean;
  /** Of two instances: when it was in charge of the lines. */
  readonly charge: Charge;
}

export interface AgentHostSetup {
  /** For the history. */
  readonly name: string;
  /** Which comm server it is, and so which instance of the process. */
  readonly server: Server;
  readonly hasRealTimeClock: boolean;
  readonly clock: SimulatedClock;
  readonly disks: AgentDisks;
  /** Of what it holds of the other instance, on the same file system; `null`: it mirrors nothing. */
  readonly mirrorDisks: AgentDisks | null;
  readonly transport: Transport;
  readonly killConnections: () => void;
  /** The machine answers nothing as long as it has no power. */
  readonly switchOff: (isOff: boolean) => void;
  readonly seed: number;
  readonly site: Site;
  readonly process: Process;
  readonly plant: Plant;
  readonly lines: readonly LineOptions[];
  readonly history: History;
  readonly mutation: Mutation;
  /** Whatever the product threw where nothing may be thrown. */
  readonly failed: (error: unknown) => void;
}

/** Of each store; all on one file system. */
export type AgentDisks = ReadonlyMap<Part, SimulatedDisk>;

/** Copies of the disks of all stores. */
export type AgentImage = ReadonlyMap<Part, DiskImage>;

/** A comm server: its disk and its wall clock stay, its processes come and go. */
export class AgentHost {
  readonly #setup: AgentHostSetup;
  readonly wall: WallClock = { offsetUs: 0 };
  /** Runs of the operating system so far. */
  #boots = 0;
  readonly runs: AgentRun[] = [];
  /** When a store lost what it knew, true times. */
  readonly forgotAtMs: { readonly part: Part; readonly atMs: number }[] = [];
  #instance: Instance | null = null;
  #peers: HostPeers | null = null;
  #stopping: Promise<void> | null = null;
  #startsAgain = false;

  constructor(setup: AgentHostSetup) {
    this.#setup = setup;
    this.#boot();
  }

  get name(): string {
    return this.#setup.name;
  }

  /** Of the process. */
  get instance(): number {
    return this.#setup.server.instance;
  }

  get run(): AgentRun | undefined {
    const run = this.runs.at(-1);
    return run?.end === 'running' ? run : undefined;
  }

  get status(): InstanceStatus | null {
    return this.#instance?.status ?? null;
  }

  /** What it says of the roles of a pair; `null` for one that is alone or does not run yet. */
  get member(): MembershipStatus | null {
    return this.#instance?.membership?.status ?? null;
  }

  /** Its stores, none while it does not run. */
  stores(): { readonly part: Part; readonly status: ClassStoreStatus }[] {
    const { status } = this;
    if (status === null) return [];
    const main = { part: 'main', status } as const;
    return status.alarms === null ? [main] : [main, { part: 'alarms', status: status.alarms }];
  }

  get disks(): AgentDisks {
    return this.#setup.disks;
  }

  get isBusy(): boolean {
    return this.#stopping !== null || (this.run !== undefined && this.#instance === null);
  }

  /** Starts a run; returns at once. */
  start(): void {
    const { name, server, clock, disks, transport, seed, history } = this.#setup;
    const { mirrorDisks: mirrored, ...setup } = this.#setup;
    const { mutation, failed, switchOff } = setup;
    switchOff(false);
    const disk = (part: Part) => {
      const each = diskOf(disks, part);
      return life.disk(mutation.disk?.(each) ?? each);
    };
    const number = this.runs.length + 1;
    const life = new Life(clock, this.wall);
    const mirrorDisk = (part: Part, own: AgentDisks) => {
      const each = diskOf(own, part);
      return life.disk(mutation.mirrorDisk?.(each) ?? each);
    };
    const mirrorDisks =
      mirrored === null
        ? null
        : {
            main: mirrorDisk('main', mirrored),
            alarms: mirrored.has('alarms') ? mirrorDisk('alarms', mirrored) : null,
          };
    const run: AgentRun = {
      ...{ record: new RunRecord(), life, startedMs: clock.monotonicMs(), charge: new Charge(clock) },
      ...{ streamIds: new Map(), risks: new Map(), forgottenBy: new Set() },
      ...{ end: 'running', endedMs: 0, wasStopping: false },
    };
    this.runs.push(run);
    history.note(`${name}: run ${number} starts`);
    const isShared = server.peers.length > 0;
    if (isShared) {
      run.record.isShared = true;
      run.record.isInCharge = () => run.charge.isSure(this.#phaseOf(run));
    }
    const log = history.log(name);
    const peers = isShared ? peerSide({ transport: life.transport(transport), life, server, log }) : null;
    const random = createSimulatedRandom(seed * 1009 + number + (SALTS[name] ?? 0));
    Instance.start({
      ...setup,
      server,
      ...(peers === null ? {} : { peers: peers.access }),
      ...(mirrorDisks === null ? {} : { mirrorDisks }),
      disk: disk('main'),
      alarmDisk: disks.has('alarms') ? disk('alarms') : null,
      openRing: async (...args) => {
        const ring = await openRing(...args);
        const given = mutation.ring?.(ring) ?? ring;
        return isShared ? run.charge.watch(given, () => this.#phaseOf(run)) : given;
      },
      transport: life.transport(transport),
      clock: life.clock,
      random,
      log,
      bootId: this.#boots.toString(16).padStart(32, '0'),
      programVersion: 'simulated',
      createDriver: async (line, ownClock) => this.#driver(line.name, { run, clock: ownClock }),
    }).then((instance) => {
      this.#instance = instance;
      this.#peers = peers;
      peers?.start();
      const { streamId, alarms } = instance.status;
      run.streamIds.set('main', streamId);
      if (alarms !== null) run.streamIds.set('alarms', alarms.streamId);
      const names = [...run.streamIds.values()].map((each) => each.slice(0, 8));
      history.note(`${name}: run ${number} has stream ${names.join(' and ')}`);
    }, failed);
  }

  /** What this run does of the roles of a pair; `null` for one that is alone or does not run yet. */
  get phase(): Phase | null {
    return this.run === undefined ? null : this.#phaseOf(this.run);
  }

  #phaseOf(run: AgentRun): Phase | null {
    return this.run === run ? (this.#instance?.membership?.phase ?? null) : null;
  }

  #driver(line: string, { run, clock }: { run: AgentRun; clock: Clock }): Driver {
    const { lines, plant, mutation } = this.#setup;
    const options = lines.find(({ name }) => name === line);
    if (options === undefined) throw new Error(`no line ${line}`);
    const driver = plant.driver(options, { life: run.life, clock, record: run.record });
    return mutation.driver?.(driver) ?? driver;
  }

  /** Starts a run now, or as soon as the clean stop that is under way is over. */
  startWhenStopped(): void {
    if (this.run === undefined) this.start();
    else if (this.#stopping !== null) this.#startsAgain = true;
  }

  stop(): void {
    const run = this.run;
    const instance = this.#instance;
    if (run === undefined || instance === null || this.#stopping !== null) return;
    const { name, history, clock, failed } = this.#setup;
    run.wasStopping = true;
    // A signal is seen when the event loop comes to it.
    const signalled = new Promise<void>((resolve) => {
      run.life.clock.schedule('signal', 0, resolve);
    });
    const stopped = signalled.then(() => {
      history.note(`${name}: clean stop`);
      return instance.stop().then(() => this.#peers?.stop());
    });
    this.#stopping = stopped.then(() => {
      history.note(`${name}: stopped`);
      run.life.kill();
      const startsAgain = this.#startsAgain;
      this.#end(run, 'clean', clock.monotonicMs());
      if (startsAgain) this.start();
    }, failed);
  }

  /** SIGKILL: the operating system keeps what was handed to it. */
  kill(): void {
    this.#cut('killed', (disk) => disk.killProcess());
  }

  cutPower(): void {
    this.#setup.switchOff(true);
    this.#cut('power-cut', (disk) => disk.cutPower());
    this.#boot();
  }

  /** What a store knew of its streams is gone. */
  forget(part: Part): void {
    for (const run of this.runs) run.forgottenBy.add(part);
    this.forgotAtMs.push({ part, atMs: this.#setup.clock.monotonicMs() });
  }

  /** A copy of everything that is on its file system. */
  image(): AgentImage {
    return new Map([...this.#setup.disks].map(([part, disk]) => [part, disk.image()]));
  }

  /** The machine is no more; another one with nothing on its disks takes its place when it is started. */
  destroy(): void {
    this.restoreImage(new Map());
    for (const disk of this.#setup.mirrorDisks?.values() ?? []) disk.restore(new Map());
  }

  /** The machine is switched off and comes back with an older copy of its disk. */
  restoreImage(image: AgentImage): void {
    this.cutPower();
    for (const [part, disk] of this.#setup.disks) {
      disk.restore(image.get(part) ?? new Map());
      this.forget(part);
    }
  }

  #boot(): void {
    const { clock, hasRealTimeClock } = this.#setup;
    this.#boots += 1;
    if (!hasRealTimeClock) this.wall.offsetUs = UNSET_CLOCK_US - clock.wallUs();
  }

  #cut(how: 'killed' | 'power-cut', cutDisk: (disk: SimulatedDisk) => void): void {
    const run = this.run;
    this.#setup.history.note(`${this.#setup.name}: ${how}`);
    for (const { part, status } of this.stores()) run?.risks.set(part, status.powerCut);
    run?.life.kill();
    this.#setup.killConnections();
    const { disks, mirrorDisks } = this.#setup;
    for (const disk of [...disks.values(), ...(mirrorDisks?.values() ?? [])]) cutDisk(disk);
    if (run !== undefined) this.#end(run, how, this.#setup.clock.monotonicMs());
  }

  #end(run: AgentRun, how: AgentRun['end'], endedMs: number): void {
    run.end = how;
    run.endedMs = endedMs;
    run.charge.end();
    this.#instance = null;
    this.#peers = null;
    this.#stopping = null;
    this.#startsAgain = false;
  }
}

function diskOf(disks: AgentDisks, part: Part): SimulatedDisk {
  const disk = disks.get(part);
  if (disk === undefined) throw new Error(`no disk for ${part}`);
  return disk;
}
