import type { Line, StationMode } from '../config/model.ts';
import { describeError, KomError } from '../domain/errors.ts';
import type { ConnectOptions, Driver, Link, LinkBatch, LinkRole } from '../drivers/driver.ts';
import { superviseLine } from '../drivers/supervisor.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';

/** What is done with a line: nothing, opened to wait, or observed. */
export type LineDoing = 'closed' | LinkRole;

export interface LineRunnerOptions {
  readonly createDriver: (line: Line, clock: Clock) => Promise<Driver>;
  /** Another instance may have the line; the device is to keep changes for so long. `null`: there is none. */
  readonly failoverMs: number | null;
  readonly connected: (line: Line) => void;
  readonly batch: (line: Line, batch: LinkBatch) => void;
  /** The whole line cannot be reached; told at each attempt. */
  readonly lost: (line: Line, reason: string) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Keeps one line as it should be now: closed, waiting or observed. */
export class LineRunner {
  readonly #options: LineRunnerOptions;
  #line: Line;
  #driver: Driver | null = null;
  #doing: LineDoing = 'closed';
  /** Another instance may not have let go of the line yet. */
  #mustListen = false;
  /** A test of the line that is under way. */
  #test: AbortController | null = null;
  #stop = new AbortController();
  #run: Promise<void> = Promise.resolve();
  #link: { readonly link: Link; role: LinkRole } | null = null;
  #lastError: string | null = null;
  /** As which the line was asked to open last; it may be something else by the time that it is. */
  #askedRole: LinkRole = 'active';

  constructor(line: Line, options: LineRunnerOptions) {
    this.#line = line;
    this.#options = options;
  }

  /** As the site file has it, with the modes of stations as they are now. */
  get line(): Line {
    return this.#line;
  }

  get status(): { readonly isConnected: boolean; readonly lastError: string | null } {
    return { isConnected: this.#link !== null, lastError: this.#lastError };
  }

  get doing(): LineDoing {
    return this.#doing;
  }

  /** Makes the driver, which must be there before the line is opened. */
  async prepare(): Promise<Driver> {
    this.#driver ??= await this.#options.createDriver(this.#line, this.#options.clock);
    return this.#driver;
  }

  /** What the line is to be from now on. Its driver is there. Nothing is waited for. */
  become(doing: LineDoing): void {
    const before = this.#doing;
    if (before === doing) return;
    this.#doing = doing;
    this.#test?.abort(new KomError('KOM_LINE_IN_USE', `line ${this.#line.name}`));
    if (doing === 'closed') this.#halt();
    else if (before === 'closed' || this.#link === null) this.#open(before);
    else this.#changeRole(this.#link, doing);
  }

  /** A line that waits for its next try is opened now. */
  hurry(): void {
    if (this.#doing !== 'closed' && this.#link === null && this.#lastError !== null) this.#open(this.#doing);
  }

  /** Proves that the line, which is closed, could be opened; see `Driver.prove`. */
  async prove(signal: AbortSignal): Promise<boolean> {
    const test = new AbortController();
    this.#test = test;
    const driver = await this.prepare();
    return (await driver.prove?.(AbortSignal.any([signal, test.signal]))) ?? false;
  }

  /** Resolves when a line that was closed is closed. */
  get closed(): Promise<void> {
    return this.#run;
  }

  /**
   * Opens the line anew, with another mode of a station. `closed` is called with the line as it was, when it
   * is closed, and before what it is to be then.
   */
  async change(station: string, mode: StationMode, closed: (line: Line) => void): Promise<void> {
    const isOpen = this.#doing !== 'closed';
    this.#halt();
    await this.#run;
    closed(this.#line);
    this.#line = withMode(this.#line, station, mode);
    this.#driver = null;
    await this.prepare();
    // Its role may have changed meanwhile, and with it the line may be on its way already.
    if (isOpen && this.#doing !== 'closed') this.#open(this.#doing);
  }

  #halt(): void {
    this.#stop.abort();
    this.#link = null;
  }

  #open(before: LineDoing): void {
    this.#halt();
    const { failoverMs } = this.#options;
    const { isExclusive } = this.#line.failover;
    if (before === 'closed') this.#mustListen = failoverMs !== null && isExclusive;
    const stop = new AbortController();
    this.#stop = stop;
    this.#run = this.#run.then(() => (stop.signal.aborted ? undefined : this.#supervise(stop.signal)));
  }

  async #supervise(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#options;
    const { name, reconnectDelayMinMs, reconnectDelayMaxMs } = this.#line;
    const driver = await this.prepare();
    const listener = {
      connected: (link: Link) => this.#connected(link),
      batch: (batch: LinkBatch) => this.#options.batch(this.#line, batch),
      lost: (reason: string) => {
        this.#link = null;
        this.#lastError = reason;
        this.#options.lost(this.#line, reason);
      },
    };
    const connectOptions = (): ConnectOptions => this.#connectOptions();
    const delays = { reconnectDelayMinMs, reconnectDelayMaxMs };
    await superviseLine({ name, driver, connectOptions, ...delays, listener, clock, random, log }, signal);
  }

  #connectOptions(): ConnectOptions {
    const { failoverMs } = this.#options;
    this.#askedRole = this.#doing === 'standby' ? 'standby' : 'active';
    return {
      role: this.#askedRole,
      ...(failoverMs === null ? {} : { failoverMs }),
      ...(this.#mustListen ? { listenFirst: true } : {}),
    };
  }

  #connected(link: Link): void {
    this.#mustListen = false;
    this.#lastError = null;
    const opened = { link, role: this.#askedRole };
    this.#link = opened;
    this.#options.connected(this.#line);
    if (this.#doing !== 'closed') this.#changeRole(opened, this.#doing);
  }

  #changeRole(opened: { readonly link: Link; role: LinkRole }, role: LinkRole): void {
    if (opened.role === role) return;
    opened.role = role;
    const { link } = opened;
    if (link.setRole === undefined) {
      this.#open('active');
      return;
    }
    link.setRole(role).catch((error: unknown) => {
      const { name } = this.#line;
      this.#options.log.warn({ line: name, role, error: describeError(error) }, 'the line is opened anew');
      if (this.#link === opened && this.#doing !== 'closed') this.#open('active');
    });
  }
}

function withMode(line: Line, station: string, mode: StationMode): Line {
  const switched = <T extends { readonly name: string; readonly mode: StationMode }>(each: T): T =>
    each.name === station ? { ...each, mode } : each;
  return line.driver === 'modbus'
    ? { ...line, stations: line.stations.map(switched) }
    : { ...line, stations: line.stations.map(switched) };
}
