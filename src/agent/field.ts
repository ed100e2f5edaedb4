import type { Line, Process, StationMode } from '../config/model.ts';
import { KomError } from '../domain/errors.ts';
import { Quality } from '../domain/quality.ts';
import type { Now, ReportByException } from '../domain/report-by-exception.ts';
import type { Entry } from '../domain/sample.ts';
import type { Driver, LinkBatch } from '../drivers/driver.ts';
import type { FieldPort } from '../redundancy/ports.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import type { TestedLine } from './fitness.ts';
import { HotWindow } from './hot-window.ts';
import { type LineDoing, LineRunner } from './line-runner.ts';
import { guardedClock } from './stall-guard.ts';
import { StationHealth } from './station-health.ts';

/** A takeover may take so long, or so many times the silence of the peer. */
const FAILOVER_MIN_MS = 3000;
const FAILOVER_PEER_TIMEOUTS = 3;
/** What the active one observed last may be so many scans older than it said. */
const MARGIN_SCANS = 2;

/** The stores of the instance. */
export interface FieldStores {
  /** Numbers may be given when it resolves. */
  activate(): Promise<void>;
  /** No number is given any more; resolves when all that were given are safe. */
  standBy(): Promise<void>;
}

export interface FieldOptions {
  readonly process: Process;
  readonly report: ReportByException;
  readonly stores: FieldStores;
  readonly createDriver: (line: Line, clock: Clock) => Promise<Driver>;
  readonly accept: (entries: readonly Entry[]) => void;
  /** The batch with the times of the agent's own clock. */
  readonly presentOf: (batch: LinkBatch) => LinkBatch;
  readonly now: () => Now;
  /** Sees whether the process stood still until now, before anything goes in or out; may call `suspend`. */
  readonly check?: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface LineStatus {
  readonly name: string;
  readonly isConnected: boolean;
  readonly lastError: string | null;
  readonly doing: LineDoing;
}

interface FieldLine {
  readonly runner: LineRunner;
  readonly window: HotWindow;
  /** Monotonic time of the last batch that was reported; `null` before it. */
  observedMs: number | null;
}

/**
 * The lines of an instance. Where another server runs the process too, it stands by from its start, and is
 * told when to observe and number, and when not to.
 */
export class Field implements FieldPort {
  readonly #options: FieldOptions;
  readonly #lines = new Map<string, FieldLine>();
  readonly #health = new StationHealth();
  #isStopped = false;
  #role: 'standby' | 'active' | 'suspended' = 'standby';
  /** Batches are numbered; else they are held, or dropped. */
  #isOpen = false;
  #isIsolated = false;
  /** Counts the changes of the role: what a former one was about to do is not done any more. */
  #turn = 0;
  /** Changes of the role are done one after the other. */
  #changing: Promise<void> = Promise.resolve();
  /** Stations are switched one after the other. */
  #switching: Promise<unknown> = Promise.resolve();

  constructor(options: FieldOptions) {
    this.#options = options;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  get status(): LineStatus[] {
    return [...this.#lines].map(([name, { runner }]) => ({ name, ...runner.status, doing: runner.doing }));
  }

  /** Stations by name, with their modes. */
  get stations(): { readonly name: string; readonly line: string; readonly mode: StationMode }[] {
    return [...this.#lines.values()].flatMap(({ runner: { line } }) =>
      line.stations.map(({ name, mode }) => ({ name, line: line.name, mode })),
    );
  }

  /** Stations that are switched on, and how many of them this instance hears; of closed lines none. */
  get stationCounts(): { readonly stations: number; readonly stationsAnswering: number } {
    const stations = this.stations.filter(({ mode }) => mode === 'on').length;
    return { stations, stationsAnswering: this.#health.answering };
  }

  /** How long ago each line was last observed, integer µs, by name; lines that were not are left out. */
  get observedAgeUs(): Readonly<Record<string, number>> {
    const { monotonicMs } = this.#options.now();
    return Object.fromEntries(
      [...this.#lines].flatMap(([name, { observedMs }]) =>
        observedMs === null ? [] : [[name, Math.round((monotonicMs - observedMs) * 1000)] as const],
      ),
    );
  }

  /** The lines as far as it can be tested whether they could be taken over. */
  get tested(): TestedLine[] {
    return [...this.#lines.values()].map(({ runner }) => ({
      name: runner.line.name,
      isTested: runner.line.failover.isTested && runner.doing === 'closed',
      isConnected: runner.status.isConnected,
      prove: (signal) => runner.prove(signal),
    }));
  }

  /** Until when the lines were observed, integer µs; `null`: until now. */
  get observedUntilUs(): number | null {
    return this.#options.report.observedUntilUs;
  }

  /**
   * Makes the drivers and opens the lines. It observes and numbers at once (`null`), or stands by: since the
   * start of the stream, wall time in integer µs, because no number of it was given.
   */
  async start(standbySinceUs: number | null = null): Promise<void> {
    const { process, report, now, stores } = this.#options;
    if (standbySinceUs !== null) {
      report.standBy({ ...now(), wallUs: standbySinceUs });
      await stores.standBy();
    }
    this.#isOpen = standbySinceUs === null;
    this.#role = this.#isOpen ? 'active' : 'standby';
    for (const line of process.lines) {
      const runner = new LineRunner(line, this.#runnerOptions());
      const window = new HotWindow(this.#failoverMs);
      this.#lines.set(line.name, { runner, window, observedMs: null });
      if (this.#isOpen) this.#declareOffOf(line);
      await runner.prepare();
      this.#setLine(runner);
    }
  }

  activate(observedAgeUs: Readonly<Record<string, number>>): void {
    if (this.#role === 'active' || this.#isStopped) return;
    this.#role = 'active';
    const turn = ++this.#turn;
    const { wallUs } = this.#options.now();
    for (const [name, line] of this.#lines) {
      const ageUs = observedAgeUs[name];
      const marginUs = MARGIN_SCANS * slowestScanMs(line.runner.line) * 1000;
      const longestUs = this.#failoverMs * 1000;
      const sinceUs = wallUs - Math.min(longestUs, ageUs === undefined ? longestUs : ageUs + marginUs);
      for (const { batch, now } of line.window.take(sinceUs)) line.window.push(batch, now);
      this.#setLine(line.runner);
      // A pause before the next try would be part of the hole.
      line.runner.hurry();
    }
    void this.#inTurn(() => this.#open(turn));
  }

  standBy(): Promise<void> {
    if (this.#role === 'standby') return this.#changing;
    this.#close('standby');
    this.#setLines();
    return this.#inTurn(async () => {
      await Promise.all(this.#closing());
      await this.#options.stores.standBy();
    });
  }

  suspend(): void {
    if (this.#role !== 'active') return;
    this.#close('suspended');
    this.#setLines();
  }

  isolated(isIsolated: boolean): void {
    if (this.#isIsolated === isIsolated) return;
    this.#isIsolated = isIsolated;
    const released = [...this.#lines.values()].filter(({ runner: { line } }) => isReleased(line));
    this.#setLines();
    if (!isIsolated || !this.#isOpen) return;
    for (const { runner } of released) this.#lost(runner.line);
  }

  /** The clock was set by so much, µs. */
  clockChanged(byUs: number): void {
    for (const { window } of this.#lines.values()) window.clockChanged(byUs);
  }

  /** Nothing is observed any more when it resolves. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#isOpen = false;
    this.#turn += 1;
    this.#setLines();
    await Promise.all([...this.#closing(), this.#changing]);
  }

  /**
   * Switches a station on or off until the next start of the agent. Its line is opened anew, which the other
   * stations of the line see as a short loss of connection. False: it was in that mode already.
   * @throws KomError KOM_USAGE if there is no such station
   */
  switchStation(station: string, mode: StationMode): Promise<boolean> {
    const turn = this.#switching.then(() => this.#switch(station, mode));
    this.#switching = turn.catch(() => undefined);
    return turn;
  }

  get #failoverMs(): number {
    const { peerTimeoutMs } = this.#options.process.redundancy;
    return Math.max(FAILOVER_MIN_MS, FAILOVER_PEER_TIMEOUTS * peerTimeoutMs);
  }

  #runnerOptions() {
    const { createDriver, clock, random, log, process, check } = this.#options;
    return {
      ...{ createDriver, random, log },
      clock: check === undefined ? clock : guardedClock(clock, check),
      failoverMs: process.servers.length > 1 ? this.#failoverMs : null,
      connected: (line: Line) => this.#connected(line),
      batch: (line: Line, batch: LinkBatch) => this.#batch(line, batch),
      lost: (line: Line) => {
        this.#health.lost(stationsOn(line));
        // What it saw before says nothing of the time from here on.
        if (!this.#isOpen) this.#lines.get(line.name)?.window.clear();
        else this.#lost(line);
      },
    };
  }

  /** Each line becomes what it is to be in the present role. */
  #setLines(): void {
    for (const { runner } of this.#lines.values()) this.#setLine(runner);
  }

  #setLine(runner: LineRunner): void {
    const doing = this.#isStopped ? 'closed' : this.#doingOf(runner.line);
    if (doing !== 'active') this.#health.lost(stationsOn(runner.line));
    runner.become(doing);
  }

  #doingOf(line: Line): LineDoing {
    const { standby } = line.failover;
    if (this.#role === 'suspended') return 'closed';
    if (this.#role === 'active') return this.#isIsolated && isReleased(line) ? 'closed' : 'active';
    if (standby === 'cold') return 'closed';
    return standby === 'warm' ? 'standby' : 'active';
  }

  #closing(): Promise<void>[] {
    return [...this.#lines.values()].flatMap(({ runner }) =>
      runner.doing === 'closed' ? [runner.closed] : [],
    );
  }

  #inTurn(change: () => Promise<void>): Promise<void> {
    this.#changing = this.#changing.then(change);
    return this.#changing;
  }

  /** Numbers are given from here on, unless the role changed again meanwhile. */
  async #open(turn: number): Promise<void> {
    const { stores, report, accept } = this.#options;
    if (turn !== this.#turn) return;
    await stores.activate();
    if (turn !== this.#turn) return;
    this.#isOpen = true;
    accept(report.activate());
    for (const line of this.#lines.values()) {
      this.#declareOffOf(line.runner.line);
      const held = line.window.take(Number.NEGATIVE_INFINITY);
      for (const { batch, now } of held) this.#take(line, batch, now);
      // Behind its last word the other instance may have told otherwise: of a quality, for example.
      if (held.length > 0) this.#demandSnapshots(line.runner.line);
      if (line.runner.doing === 'closed') this.#lost(line.runner.line);
    }
  }

  /** No numbers are given from here on. */
  #close(role: 'standby' | 'suspended'): void {
    this.#role = role;
    this.#turn += 1;
    if (!this.#isOpen) return;
    const { accept, report, now } = this.#options;
    this.#isOpen = false;
    accept(report.standBy(now()));
  }

  #connected(line: Line): void {
    if (this.#isOpen) this.#demandSnapshots(line);
  }

  #demandSnapshots(line: Line): void {
    for (const station of stationsOn(line)) this.#options.report.stationConnected(station);
  }

  #batch({ name, failover }: Line, batch: LinkBatch): void {
    const { check, now, presentOf } = this.#options;
    check?.();
    const line = this.#lines.get(name);
    if (line === undefined) return;
    this.#health.heard(batch);
    const present = presentOf(batch);
    if (this.#isOpen) this.#take(line, present, now());
    // On the way to becoming active every line is observed already.
    else if (this.#role === 'active' || (this.#role === 'standby' && failover.standby === 'hot'))
      line.window.push(present, now());
  }

  #take(line: FieldLine, batch: LinkBatch, now: Now): void {
    const { accept, report } = this.#options;
    line.observedMs = now.monotonicMs;
    accept(report.report(batch, now));
  }

  #lost(line: Line): void {
    const { report, accept, now } = this.#options;
    const at = now();
    for (const station of stationsOn(line)) accept(report.stationLost(station, Quality.badNotConnected, at));
  }

  async #switch(station: string, mode: StationMode): Promise<boolean> {
    const found = [...this.#lines.values()].find(({ runner: { line } }) =>
      line.stations.some(({ name }) => name === station),
    );
    if (found === undefined) {
      const names = this.stations.map(({ name }) => name);
      throw new KomError('KOM_USAGE', `no station ${station}`, { expected: names.slice(0, 50).join(', ') });
    }
    const { runner } = found;
    if (runner.line.stations.some((each) => each.name === station && each.mode === mode)) return false;
    await runner.change(station, mode, (line) => {
      if (!this.#isOpen) return;
      this.#lost(line);
      if (mode === 'off') this.#declareOff(station);
    });
    return !this.#isStopped;
  }

  #declareOffOf({ stations }: Line): void {
    for (const { name, mode } of stations) if (mode === 'off') this.#declareOff(name);
  }

  #declareOff(station: string): void {
    const { accept, report, now } = this.#options;
    accept(report.stationOff(station, now()));
  }
}

function isReleased({ failover }: Line): boolean {
  return failover.isExclusive && failover.onIsolation === 'release';
}

function stationsOn(line: Line): string[] {
  return line.stations.filter(({ mode }) => mode === 'on').map(({ name }) => name);
}

/** Of a line that is polled; else 0. */
function slowestScanMs(line: Line): number {
  if (line.driver !== 'modbus') return 0;
  return line.stations
    .flatMap(({ tags }) => tags)
    .reduce((slowest, { scanMs }) => Math.max(slowest, scanMs), 0);
}
