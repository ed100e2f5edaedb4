import { isKomError } from '../domain/errors.ts';
import type { Clock, Timer } from '../world/clock.ts';

/** A ring counts failures that are a second apart, and a timer may go off a little early. */
const FIRST_MS = 1100;
const LONGEST_MS = 5000;

/**
 * A ring that does not give what it holds is left alone for a while, each time longer: a damaged segment,
 * or a disk without room to open one, is no reason to stop with everything else.
 */
export class ReadPause {
  readonly #clock: Clock;
  readonly #over: () => void;
  #timer: Timer | null = null;
  #failures = 0;

  /** `over` is called at the end of each pause. */
  constructor(clock: Clock, over: () => void) {
    this.#clock = clock;
    this.#over = over;
  }

  get isOn(): boolean {
    return this.#timer !== null;
  }

  /** What a job reads; `undefined` while there is a pause, and where the job fails, which begins one. */
  async read<T>(job: () => Promise<T>): Promise<T | undefined> {
    if (this.isOn) return undefined;
    try {
      const result = await job();
      this.#failures = 0;
      return result;
    } catch (error) {
      if (!isKomError(error) || error.code === 'KOM_STORE_CLOSED') throw error;
      this.#begin();
      return undefined;
    }
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #begin(): void {
    this.#timer?.cancel();
    const ms = Math.min(FIRST_MS * 2 ** this.#failures, LONGEST_MS);
    this.#failures += 1;
    this.#timer = this.#clock.schedule('read the ring again', ms, () => {
      this.#timer = null;
      this.#over();
    });
  }
}
