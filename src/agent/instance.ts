import type { openRing } from '../buffer/open-ring.ts';
import type { StreamClock } from '../buffer/ring.ts';
import type { KernelPlaces, Line, Process, Server, Site } from '../config/model.ts';
import { COMMANDS_ALLOWED_BY_DEFAULT } from '../domain/commands.ts';
import { type Now, ReportByException } from '../domain/report-by-exception.ts';
import type { Entry } from '../domain/sample.ts';
import { NO_TERM } from '../domain/term.ts';
import type { Driver } from '../drivers/driver.ts';
import { Audit } from '../ops/audit.ts';
import { SeenEpochs } from '../uplink/epochs.ts';
import type { Command, CommandResult } from '../uplink/messages.ts';
import { Uplink, type UplinkStatus } from '../uplink/uplink.ts';
import type { Clock, Timer } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import { SideStore } from '../world/side-store.ts';
import type { Disk } from '../world/store.ts';
import type { TlsOptions, Transport } from '../world/transport.ts';
import { AgentClock, type ClockStatus } from './agent-clock.ts';
import type { NamedStore } from './buffer-handlers.ts';
import { type ClassStore, type ClassStoreStatus, earlier } from './class-store.ts';
import { Commands } from './commands.ts';
import { endStream, farewell } from './farewell.ts';
import { Field, type LineStatus } from './field.ts';
import { type ExercisedLine, Fitness } from './fitness.ts';
import type { LineFitness } from './fitness-book.ts';
import {
  isShared,
  type Membership,
  type MembershipStatus,
  type MirrorDisks,
  openMembership,
  type PeerAccess,
} from './membership.ts';
import { longStartUs, type OpenOptions, openStores, tagsOf } from './open-stores.ts';
import { SendModeNotes } from './send-mode.ts';
import { pauseSince, Timekeeper } from './timekeeper.ts';

/** Tags that nobody has seen since the start have that declared at this pace, integer µs. */
const UNDECLARED_MAX_US = 60_000_000;

/** Pace of the beat by which a stop sees that the whole process stood still before it. */
const BEAT_MS = 500;

export interface InstanceOptions {
  readonly site: Site;
  readonly server: Server;
  readonly process: Process;
  readonly disk: Disk;
  /** Place of the alarms' own store; `null` if there is none: alarms then go with the rest. */
  readonly alarmDisk?: Disk | null;
  readonly transport: Transport;
  /** How connections to the Kernel and the other instance are secured; in the open if not given. */
  readonly tls?: TlsOptions;
  /** How the other instance is reached; needed where another server runs the process too. */
  readonly peers?: PeerAccess;
  /** Without it neither instance holds the backlog of the other one. */
  readonly mirrorDisks?: MirrorDisks;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** 32 hexadecimal digits: this run of the operating system. */
  readonly bootId: string;
  readonly programVersion: string;
  /** Its readings are stamped by the clock that it is given. */
  readonly createDriver: (line: Line, clock: Clock) => Promise<Driver>;
  /** Opens the ring on the disk; the real one if not given. */
  readonly openRing?: typeof openRing;
}

/**
 * The fields of the store are those of the measurements, or of all tags where alarms have none of their own.
 */
export interface InstanceStatus extends ClassStoreStatus {
  readonly process: string;
  readonly instance: number;
  readonly uplink: UplinkStatus;
  /** The alarms' own store. */
  readonly alarms: ClassStoreStatus | null;
  readonly clock: ClockStatus;
  readonly lines: readonly LineStatus[];
  /** Its role; `null` where no other server runs the process: it is always active then. */
  readonly member: MembershipStatus | null;
  /** Whether the lines could be taken over; empty where no other server runs the process. */
  readonly fitness: readonly LineFitness[];
}

/** With what is read before anything starts. */
interface PreparedOptions extends OpenOptions {
  readonly epochs: SeenEpochs;
  readonly sendMode: SendModeNotes;
  readonly audit: Audit;
  readonly membership: Membership | null;
}

/** One instance of a process: its lines, its stores, its uplink. */
export class Instance {
  readonly #options: PreparedOptions;
  /** All tags, or all but the alarms. */
  readonly #main: ClassStore;
  readonly #alarms: ClassStore | null;
  readonly #report: ReportByException;
  readonly #timekeeper: Timekeeper;
  readonly #uplink: Uplink;
  readonly #field: Field;
  /** `null`: no other server runs the process. */
  readonly #fitness: Fitness | null;
  readonly #commands: Commands;
  readonly #uplinkStop = new AbortController();
  readonly #aliveTimer: Timer;
  readonly #beatTimer: Timer;
  /** Stores that did not tell yet whether there was a run before this one. */
  readonly #untold: Set<ClassStore>;
  /** Since then nobody observed until this run began: the earliest that a store told; `null`: none did. */
  #lastRunUntilUs: number | null;
  /** The last beat and the one before it. */
  #beats: readonly [Now, Now];
  #uplinkRun: Promise<void> = Promise.resolve();
  /** Of what is numbered now. */
  #term = NO_TERM;

  /** Opens the stores, which always succeeds but for a living owner, and starts polling and sending. */
  static async start(options: InstanceOptions): Promise<Instance> {
    let started: Instance | null = null;
    const demandSnapshots = (): void => {
      if (started !== null) started.#demandSnapshots();
    };
    const { site, bootId } = options;
    const clock = new AgentClock({ system: options.clock, mode: site.clock, bootId });
    const { main, alarms } = await openStores({ ...options, clock }, demandSnapshots);
    const notes = new SideStore(options.disk, 'notes');
    const epochs = await SeenEpochs.load(notes, options.log);
    const backlogs = [main, ...(alarms === null ? [] : [alarms])].map(({ backlog }) => backlog);
    const sendMode = new SendModeNotes(notes, backlogs);
    await sendMode.resume(options.log);
    const audit = new Audit(notes);
    const stores = { main, alarms };
    const facts = () => started?.memberFacts ?? null;
    const membership = await openMembership({ ...options, notes, facts }, stores);
    const prepared = { ...options, clock, epochs, sendMode, audit, membership };
    const instance = new Instance(prepared, main, alarms);
    started = instance;
    // A ring that the disk did not take at the start knows the last run only when it takes it.
    for (const store of instance.#untold) void store.ring.minted.then(() => instance.#learnLastRun(store));
    // Where another instance may be active, this one stands by until it knows better.
    await instance.#field.start(membership === null ? null : main.ring.stream.startedAtUs);
    instance.#fitness?.start();
    membership?.start({ field: instance.#field, lease: instance.#uplink });
    instance.#uplinkRun = instance.#uplink.run(instance.#uplinkStop.signal);
    return instance;
  }

  private constructor(options: PreparedOptions, main: ClassStore, alarms: ClassStore | null) {
    this.#options = options;
    this.#main = main;
    this.#alarms = alarms;
    const { process, clock, site, server, log } = options;
    this.#untold = new Set(this.#stores.filter(({ ring }) => ring.stream.previous === null));
    const pauses = this.#stores.map(({ ring }) => pauseSince(ring, options));
    this.#lastRunUntilUs = this.#stores
      .map(({ ring }, at) => pauses[at]?.untilUs ?? longStartUs(ring.stream, clock))
      .reduce(earlier);
    const isOwnClock = pauses.every((pause) => pause?.isOwnClock ?? true);
    this.#report = new ReportByException(tagsOf(process), this.#lastRunUntilUs, isOwnClock);
    this.#timekeeper = new Timekeeper({
      ...{ clock, log, bootId: options.bootId, stores: this.#stores, report: this.#report },
      accept: (gaps) => this.#accept(gaps),
    });
    this.#uplink = new Uplink({
      ...options,
      kernels: site.kernels,
      server: server.name,
      ...(server.localAddress === undefined ? {} : { localAddress: server.localAddress }),
      identity: {
        programVersion: options.programVersion,
        site: site.name,
        process: process.name,
        instance: server.instance,
        siteHash: site.hash,
      },
      settings: process.uplink,
      sources: this.#stores.map(({ source }) => source),
      ...(options.membership === null ? {} : { lease: options.membership.leaseSide }),
      ...(options.membership?.uplinkMirror ? { mirror: options.membership.uplinkMirror } : {}),
      observedUntilUs: () => this.#field.observedUntilUs ?? clock.wallUs(),
      kernelClock: (exchange) => clock.learn(exchange),
      commands: (command) => this.#commands.carryOut(command, 'kernel'),
    });
    this.#field = new Field({
      ...options,
      report: this.#report,
      stores: {
        activate: async () => {
          await this.#eachStore((store, ...mark) => store.activate(...mark));
          this.#followTerm();
        },
        standBy: () => this.#eachStore((store, ...mark) => store.standBy(...mark)),
      },
      accept: (entries) => this.#accept(entries),
      presentOf: (batch) => this.#timekeeper.presentOf(batch),
      now: () => this.#now(),
      check: () => options.membership?.check(),
    });
    this.#fitness = isShared(process) ? this.#makeFitness() : null;
    this.#commands = new Commands({
      ...options,
      process: process.name,
      allowed: site.commandsAllowed ?? COMMANDS_ALLOWED_BY_DEFAULT,
      stores: () => this.namedStores,
      field: this.#field,
      exercise: () => this.exercise(),
      status: () => this.status,
    });
    this.#beats = [this.#now(), this.#now()];
    this.#beatTimer = clock.repeat('beat', BEAT_MS, () => this.#beat());
    this.#aliveTimer = clock.repeat('alive mark', process.buffer.aliveMarkMs, () => this.#markAlive());
  }

  get status(): InstanceStatus {
    return {
      ...this.#main.status,
      process: this.#options.process.name,
      instance: this.#options.server.instance,
      uplink: this.#uplink.status,
      alarms: this.#alarms?.status ?? null,
      clock: this.#options.clock.status,
      lines: this.#field.status,
      member: this.#options.membership?.status ?? null,
      fitness: this.#fitness?.status ?? [],
    };
  }

  /** For who looks at the roles all the time, and nothing else; `null`: no other server runs the process. */
  get membership(): Pick<Membership, 'phase' | 'status'> | null {
    return this.#options.membership;
  }

  /** Carries out what an operator asks for at this machine. */
  command(command: Command): Promise<CommandResult> {
    return this.#commands.carryOut(command, 'agent');
  }

  /** Tests now whether each line could be taken over; empty where no other server runs the process. */
  async exercise(): Promise<ExercisedLine[]> {
    return (await this.#fitness?.exercise()) ?? [];
  }

  get process(): string {
    return this.#options.process.name;
  }

  get audit(): Audit {
    return this.#options.audit;
  }

  /** Goes where the Kernels are now; nothing else is disturbed. */
  follow({ kernels, siteHash, waiting }: KernelPlaces): void {
    const allowFrom = waiting.find(({ process }) => process === this.process)?.allowFrom ?? [];
    this.#uplink.change({ kernels, allowFrom, siteHash });
    this.#options.membership?.siteChanged(siteHash);
  }

  /** Its stores by name. */
  get namedStores(): NamedStore[] {
    const { name: process } = this.#options.process;
    const main: NamedStore = { process, part: 'main', store: this.#main };
    return this.#alarms === null ? [main] : [main, { process, part: 'alarms', store: this.#alarms }];
  }

  /** Clean stop: lines closed, everything numbered delivered or in the ring, the streams ended. */
  async stop(): Promise<void> {
    const { membership } = this.#options;
    await membership?.leave();
    // Nothing is observed from here on, however long it takes until the rest is delivered or stored. Who
    // stands by observed nothing since it stood down.
    const { standsBy, observedUntilUs } = this.#report;
    const endedAtUs = standsBy ? (observedUntilUs ?? this.#awakeUntilUs()) : this.#awakeUntilUs();
    this.#beatTimer.cancel();
    await this.#fitness?.stop();
    await this.#field.stop();
    this.#aliveTimer.cancel();
    this.#accept(this.#report.declareStopped({ ...this.#now(), wallUs: endedAtUs }));
    for (const store of this.#stores) store.finish();
    await farewell(this.#stores, this.#options.clock);
    const closing = { ...this.#options, endedAtUs, isUntold: this.#untold.size > 0, uplink: this.#uplink };
    for (const store of this.#stores) {
      await endStream(store, { ...closing, streamClock: this.#timekeeper.streamClock(store) });
    }
    this.#uplinkStop.abort();
    await this.#uplinkRun;
    await membership?.stop();
    for (const { ring } of this.#stores) await ring.close();
  }

  /** The most urgent first. */
  get #stores(): readonly ClassStore[] {
    return this.#alarms === null ? [this.#main] : [this.#alarms, this.#main];
  }

  /** Values that were refused during an overload count as reported; each must be reported again. */
  #demandSnapshots(): void {
    for (const station of this.#report.stations()) this.#report.stationConnected(station);
  }

  #learnLastRun(told: ClassStore): void {
    // Nothing is numbered any more while stopping: without an end of this run the next one declares it.
    if (this.#field.isStopped) return;
    this.#untold.delete(told);
    this.#timeSet(this.#timekeeper.begin(told, () => this.#now()));
    const pause = pauseSince(told.ring, this.#options);
    const sinceUs = pause?.untilUs ?? null;
    // One store may have lost what the other one told already.
    if (sinceUs === null || sinceUs >= (this.#lastRunUntilUs ?? Number.MAX_SAFE_INTEGER)) return;
    this.#lastRunUntilUs = sinceUs;
    this.#accept(this.#report.lastRunEnded(sinceUs, this.#now(), pause?.isOwnClock));
    for (const store of this.#stores) store.declaredSince(sinceUs);
  }

  /** What the other instance and the Kernel hear of it. */
  get memberFacts() {
    const { stationCounts, observedAgeUs } = this.#field;
    return { ...stationCounts, observedAgeUs };
  }

  #beat(): void {
    this.#options.membership?.setFitness(this.#fitness?.unfit ?? null);
    this.#timeSet(this.#timekeeper.beat(() => this.#now()));
    this.#beats = [this.#now(), this.#beats[0]];
  }

  /** Moments that are remembered go along with the time. */
  #timeSet(byUs: number): void {
    const moved = (at: Now): Now => ({ ...at, wallUs: at.wallUs + byUs });
    this.#beats = [moved(this.#beats[0]), moved(this.#beats[1])];
    if (byUs !== 0) this.#field.clockChanged(byUs);
  }

  /**
   * Wall time until which lines could be served: now, or the last beat before the process stood still, if it
   * went on only just now.
   */
  #awakeUntilUs(): number {
    const [last, before] = this.#beats;
    const now = this.#now();
    if (now.monotonicMs - last.monotonicMs > 2 * BEAT_MS) return last.wallUs;
    return last.monotonicMs - before.monotonicMs > 2 * BEAT_MS ? before.wallUs : now.wallUs;
  }

  #markAlive(): void {
    const now = this.#now();
    const sinceUs = this.#report.stoppedSinceUs;
    // Not at once: most starts see every tag within a second, and declare the whole pause in one piece then.
    if (sinceUs !== null && now.wallUs - sinceUs > UNDECLARED_MAX_US) {
      this.#accept(this.#report.declareStopped(now));
    }
    // What a line did not see while the process stood still is for its driver to declare, in a moment.
    const awakeUntilUs = this.#awakeUntilUs();
    const sinceStillUs = awakeUntilUs < now.wallUs ? awakeUntilUs : null;
    const undeclaredSinceUs = earlier(this.#report.stoppedSinceUs, sinceStillUs);
    for (const store of this.#stores) store.markAlive(undeclaredSinceUs, this.#timekeeper.streamClock(store));
  }

  #makeFitness(): Fitness {
    const { process, clock, log } = this.#options;
    const { name, redundancy: settings } = process;
    return new Fitness({ process: name, lines: () => this.#field.tested, settings, clock, log });
  }

  async #eachStore(
    change: (store: ClassStore, undeclaredSinceUs: number | null, clock: StreamClock) => Promise<void>,
  ): Promise<void> {
    const { stoppedSinceUs } = this.#report;
    await Promise.all(
      this.#stores.map((store) => change(store, stoppedSinceUs, this.#timekeeper.streamClock(store))),
    );
  }

  /** A grant may come while it is active already: what is numbered from then on is so under its term. */
  #followTerm(): void {
    const term = this.#options.membership?.term ?? NO_TERM;
    if (term === this.#term) return;
    this.#term = term;
    for (const store of this.#stores) store.termChanged(term);
  }

  #accept(entries: readonly Entry[]): void {
    this.#followTerm();
    for (const store of this.#stores) store.accept(entries);
  }

  #now(): Now {
    return { wallUs: this.#options.clock.wallUs(), monotonicMs: this.#options.clock.monotonicMs() };
  }
}
