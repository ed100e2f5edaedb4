import { invariant } from '../../domain/errors.ts';
import { type Clock, sleepOn, type Timer } from '../clock.ts';

/** The two clocks of the operating system, in milliseconds; a test may put its own here. */
export interface ClockSource {
  /** Milliseconds since 1970, UTC; steps when somebody sets the system's clock. */
  readonly epochMs: () => number;
  /** Fractional milliseconds that never step. */
  readonly monotonicMs: () => number;
}

/**
 * `performance` counts from the start of the process, `hrtime` from that of the operating system, with the
 * same clock: so times of two processes of one boot compare. The first is the cheaper one to ask.
 */
const PROCESS_STARTED_MS = Number(process.hrtime.bigint() / 1000n) / 1000 - performance.now();

const SYSTEM: ClockSource = {
  epochMs: () => Date.now(),
  monotonicMs: () => PROCESS_STARTED_MS + performance.now(),
};

/** The longest time that a timer of Node can wait; a longer one would fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** The clock of this machine. */
export function createClock(source: ClockSource = SYSTEM): Clock {
  return new SystemClock(source);
}

class SystemClock implements Clock {
  readonly #source: ClockSource;
  #anchorUs: number;
  #anchorMonotonicMs: number;

  constructor(source: ClockSource) {
    this.#source = source;
    this.#anchorUs = Math.floor(source.epochMs()) * 1000;
    this.#anchorMonotonicMs = source.monotonicMs();
  }

  monotonicMs(): number {
    return this.#source.monotonicMs();
  }

  /**
   * The system's clock gives milliseconds and follows steps; the µs below come from the monotonic clock.
   * The result always lies within the system's current millisecond, so it steps when that steps and
   * otherwise never goes back.
   */
  wallUs(): number {
    const monotonicMs = this.#source.monotonicMs();
    const floorUs = Math.floor(this.#source.epochMs()) * 1000;
    const passedUs = Math.floor((monotonicMs - this.#anchorMonotonicMs) * 1000);
    const estimateUs = this.#anchorUs + passedUs;
    const wallUs = Math.min(Math.max(estimateUs, floorUs), floorUs + 999);
    if (wallUs !== estimateUs) {
      this.#anchorUs = wallUs;
      this.#anchorMonotonicMs = monotonicMs;
    }
    return wallUs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal);
  }

  schedule(name: string, ms: number, run: () => void): Timer {
    invariant(ms >= 0, () => `timer ${name} is due in the future, not in ${ms} ms`);
    let handle: NodeJS.Timeout;
    let leftMs = ms;
    const arm = () => {
      const stepMs = Math.min(leftMs, TIMER_MAX_MS);
      leftMs -= stepMs;
      handle = setTimeout(leftMs > 0 ? arm : run, stepMs);
    };
    arm();
    return { cancel: () => clearTimeout(handle) };
  }

  repeat(name: string, ms: number, run: () => void): Timer {
    invariant(ms > 0, `timer ${name} repeats at a period longer than ${ms} ms`);
    let timer: Timer;
    let dueMs = this.monotonicMs() + ms;
    const fire = () => {
      // Periods that a busy event loop missed are skipped, not made up for; the grid stays.
      dueMs += ms * Math.max(1, Math.ceil((this.monotonicMs() - dueMs) / ms));
      timer = this.schedule(name, Math.max(0, dueMs - this.monotonicMs()), fire);
      run();
    };
    timer = this.schedule(name, ms, fire);
    return { cancel: () => timer.cancel() };
  }
}
