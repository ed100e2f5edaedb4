import type { RedundancySettings } from '../config/model.ts';
import { describeError, isKomError, KomError } from '../domain/errors.ts';
import type { Clock, Timer } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { FitnessBook, type LineFitness } from './fitness-book.ts';

/** How often it is looked whether a test is due. */
const LOOK_MS = 10_000;
/** A test that takes longer has failed. */
const TEST_MAX_MS = 30_000;

/** A line as far as it can be tested. */
export interface TestedLine {
  readonly name: string;
  /** The site file lets a standby open it for a test. */
  readonly isTested: boolean;
  readonly isConnected: boolean;
  /** See `Driver.prove`. @throws KomError */
  prove(signal: AbortSignal): Promise<boolean>;
}

export interface FitnessOptions {
  readonly process: string;
  readonly lines: () => readonly TestedLine[];
  readonly settings: Pick<RedundancySettings, 'fitnessIntervalMs' | 'fitnessMaxAgeMs'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** One line after an exercise. */
export interface ExercisedLine {
  readonly line: string;
  /** `untestable`: another instance has it, or the site file does not allow it. */
  readonly outcome: 'proven' | 'failed' | 'untestable';
  readonly error: string | null;
}

/**
 * Sees to it that a standby knows whether it could take over: a line that is connected proves it by that; one
 * that is not is tested each `fitnessIntervalMs`, one line after the other.
 */
export class Fitness {
  readonly #options: FitnessOptions;
  readonly #book: FitnessBook;
  readonly #stop = new AbortController();
  #timer: Timer | null = null;
  #testing: Promise<void> = Promise.resolve();
  #isTesting = false;

  constructor(options: FitnessOptions) {
    this.#options = options;
    this.#book = new FitnessBook(options.settings, options.clock.monotonicMs());
  }

  start(): void {
    this.#timer = this.#options.clock.repeat('fitness', LOOK_MS, () => this.#look());
  }

  /** A test that is under way ends before it resolves. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#stop.abort();
    await this.#testing;
  }

  get status(): readonly LineFitness[] {
    const { clock } = this.#options;
    const connected = this.#noteConnected();
    return this.#options
      .lines()
      .map(({ name, isTested }) =>
        this.#book.of(name, { isTested: isTested || connected.has(name), nowMs: clock.monotonicMs() }),
      );
  }

  /** Why this instance could not be active: no line that was tested could be opened. `null`: it could. */
  get unfit(): string | null {
    const tested = this.status.filter(({ provenAgeMs, error }) => provenAgeMs !== null || error !== null);
    const [first] = tested;
    if (first === undefined || tested.some(({ error }) => error === null)) return null;
    return `no line can be opened; ${first.line}: ${first.error}`;
  }

  /** Tests every line now, whatever it did last. */
  async exercise(): Promise<ExercisedLine[]> {
    const outcomes: ExercisedLine[] = [];
    const run = this.#testing.then(async () => {
      for (const line of this.#options.lines()) outcomes.push(await this.#exercised(line));
    });
    this.#testing = run;
    await run;
    return outcomes;
  }

  #look(): void {
    if (this.#isTesting) return;
    const connected = this.#noteConnected();
    const nowMs = this.#options.clock.monotonicMs();
    const due = this.#options
      .lines()
      .filter(({ name, isTested }) => isTested && !connected.has(name) && this.#book.isDue(name, nowMs));
    if (due.length === 0) return;
    this.#isTesting = true;
    this.#testing = this.#testing.then(async () => {
      for (const line of due) if (!this.#stop.signal.aborted) await this.#test(line);
      this.#isTesting = false;
    });
  }

  #noteConnected(): ReadonlySet<string> {
    const connected = this.#options.lines().filter(({ isConnected }) => isConnected);
    for (const { name } of connected) this.#book.proven(name, this.#options.clock.monotonicMs());
    return new Set(connected.map(({ name }) => name));
  }

  async #exercised(line: TestedLine): Promise<ExercisedLine> {
    const { name, isTested, isConnected } = line;
    if (isConnected) return { line: name, outcome: 'proven', error: null };
    if (!isTested || !(await this.#test(line))) {
      const { error } = this.#book.of(name, { isTested, nowMs: this.#options.clock.monotonicMs() });
      return { line: name, outcome: error === null ? 'untestable' : 'failed', error };
    }
    return { line: name, outcome: 'proven', error: null };
  }

  /** True: it was proven. */
  async #test(line: TestedLine): Promise<boolean> {
    const { clock, log, process } = this.#options;
    const late = new AbortController();
    const timer = clock.schedule('fitness test', TEST_MAX_MS, () =>
      late.abort(new KomError('KOM_DEVICE_TIMEOUT', `the test of line ${line.name}`)),
    );
    try {
      const signal = AbortSignal.any([late.signal, this.#stop.signal]);
      const isProven = await Promise.race([line.prove(signal), rejected(signal)]);
      if (isProven) this.#book.proven(line.name, clock.monotonicMs());
      else this.#book.untestable(line.name, clock.monotonicMs());
      return isProven;
    } catch (error) {
      // Its line is opened in earnest: that tells more.
      if (this.#stop.signal.aborted || isKomError(error, 'KOM_LINE_IN_USE')) return false;
      const text = describeError(error);
      if (this.#book.failed(line.name, text, clock.monotonicMs())) {
        log.warn({ process, line: line.name, error: text }, 'a standby could not open a line');
      }
      return false;
    } finally {
      timer.cancel();
    }
  }
}

function rejected(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
