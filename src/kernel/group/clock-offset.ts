/** Words of a Kernel that are looked at together: those of some seconds, over both connections. */
const WORDS = 16;

/** Clocks of Kernels that differ by more are an alarm: what is archived carries them. */
const CLOCK_OFFSET_MAX_MS = 1000;

/**
 * By how much the clock of another Kernel is ahead of this one's. A word is a moment old when it comes, or
 * lay in a socket: of several the one that seems to be furthest ahead was the fastest.
 */
export class ClockOffset {
  readonly #offsetsUs: number[] = [];

  /** Its clock when it spoke, and this one's when that came, µs. */
  said(theirsUs: number, mineUs: number): void {
    this.#offsetsUs.push(theirsUs - mineUs);
    if (this.#offsetsUs.length > WORDS) this.#offsetsUs.shift();
  }

  /** Milliseconds; `null`: it did not say often enough. */
  get offsetMs(): number | null {
    if (this.#offsetsUs.length < WORDS / 2) return null;
    return Math.round(Math.max(...this.#offsetsUs) / 1000);
  }
}

/** What a person is told of a clock that is off; `null`: it is right, or not known. */
export function wrongClock(offsetMs: number | null): string | null {
  if (offsetMs === null || Math.abs(offsetMs) <= CLOCK_OFFSET_MAX_MS) return null;
  return `${(Math.abs(offsetMs) / 1000).toFixed(1)} s ${offsetMs > 0 ? 'ahead' : 'behind'}`;
}
