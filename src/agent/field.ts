import type { Line, Process, StationMode } from '../config/model.ts';
import { KomError } from '../domain/errors.ts';
import { Quality } from '../domain/quality.ts';
import type { Now, ReportByException } from '../domain/report-by-exception.ts';
import type { Entry } from '../domain/sample.ts';
import type { Driver, LinkBatch } from '../drivers/driver.ts';
import { superviseLine } from '../drivers/supervisor.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';

export interface FieldOptions {
  readonly process: Process;
  readonly report: ReportByException;
  readonly createDriver: (line: Line, clock: Clock) => Promise<Driver>;
  readonly accept: (entries: readonly Entry[]) => void;
  /** The batch with the times of the agent's own clock. */
  readonly presentOf: (batch: LinkBatch) => LinkBatch;
  readonly now: () => Now;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

interface RunningLine {
  /** As the site file has it, with the modes of stations as they are now. */
  line: Line;
  readonly state: { isConnected: boolean; lastError: string | null };
  stop: AbortController;
  run: Promise<void>;
}

/** The lines of an instance, each with its driver. */
export class Field {
  readonly #options: FieldOptions;
  readonly #lines = new Map<string, RunningLine>();
  #isStopped = false;
  /** Stations are switched one after the other. */
  #switching: Promise<unknown> = Promise.resolve();

  constructor(options: FieldOptions) {
    this.#options = options;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  get status(): {
    readonly name: string;
    readonly isConnected: boolean;
    readonly lastError: string | null;
  }[] {
    return [...this.#lines].map(([name, { state }]) => ({ name, ...state }));
  }

  /** Stations by name, with their modes. */
  get stations(): { readonly name: string; readonly line: string; readonly mode: StationMode }[] {
    return [...this.#lines.values()].flatMap(({ line }) =>
      line.stations.map(({ name, mode }) => ({ name, line: line.name, mode })),
    );
  }

  async start(): Promise<void> {
    for (const line of this.#options.process.lines) {
      const state = { isConnected: false, lastError: null };
      const running = { line, state, stop: new AbortController(), run: Promise.resolve() };
      this.#lines.set(line.name, running);
      for (const station of line.stations) if (station.mode === 'off') this.#declareOff(station.name);
      await this.#run(running);
    }
  }

  /** Nothing is observed any more when it resolves. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const { stop } of this.#lines.values()) stop.abort();
    await Promise.all([...this.#lines.values()].map(({ run }) => run));
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

  async #switch(station: string, mode: StationMode): Promise<boolean> {
    const running = [...this.#lines.values()].find(({ line }) =>
      line.stations.some(({ name }) => name === station),
    );
    if (running === undefined) {
      const names = this.stations.map(({ name }) => name);
      throw new KomError('KOM_USAGE', `no station ${station}`, { expected: names.slice(0, 50).join(', ') });
    }
    const { line } = running;
    if (line.stations.some((each) => each.name === station && each.mode === mode)) return false;
    running.stop.abort();
    await running.run;
    if (this.#isStopped) return false;
    this.#lost(running, `station ${station} is switched ${mode}`);
    running.line = withMode(line, station, mode);
    if (mode === 'off') this.#declareOff(station);
    running.stop = new AbortController();
    await this.#run(running);
    return true;
  }

  #declareOff(station: string): void {
    const { accept, report, now } = this.#options;
    accept(report.stationOff(station, now()));
  }

  async #run(running: RunningLine): Promise<void> {
    const { createDriver, clock, random, log, report, accept, presentOf, now } = this.#options;
    const { line, state } = running;
    const driver = await createDriver(line, clock);
    const { name, reconnectDelayMinMs, reconnectDelayMaxMs } = line;
    const listener = {
      connected: () => {
        state.isConnected = true;
        state.lastError = null;
        for (const station of stationsOn(line)) report.stationConnected(station);
      },
      batch: (batch: LinkBatch) => accept(report.report(presentOf(batch), now())),
      lost: (reason: string) => this.#lost(running, reason),
    };
    const supervised = {
      name,
      driver,
      reconnectDelayMinMs,
      reconnectDelayMaxMs,
      listener,
      clock,
      random,
      log,
    };
    running.run = superviseLine(supervised, running.stop.signal);
  }

  #lost({ line, state }: RunningLine, reason: string): void {
    const { report, accept, now } = this.#options;
    state.isConnected = false;
    state.lastError = reason;
    const at = now();
    for (const station of stationsOn(line)) accept(report.stationLost(station, Quality.badNotConnected, at));
  }
}

function stationsOn(line: Line): string[] {
  return line.stations.filter(({ mode }) => mode === 'on').map(({ name }) => name);
}

function withMode(line: Line, station: string, mode: StationMode): Line {
  const switched = <T extends { readonly name: string; readonly mode: StationMode }>(each: T): T =>
    each.name === station ? { ...each, mode } : each;
  return line.driver === 'modbus'
    ? { ...line, stations: line.stations.map(switched) }
    : { ...line, stations: line.stations.map(switched) };
}
