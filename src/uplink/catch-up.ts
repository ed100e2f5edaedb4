export interface CatchUpOptions {
  /** Bytes a second of blocks; 0: no floor. */
  readonly minBytesPerS: number;
  /** Bytes a second of blocks; infinite: no ceiling. */
  readonly maxBytesPerS: number;
}

/** So much may go at once when nothing went for a while, so that pieces and timers need not match. */
const BURST_MS = 250;
/** The pace is looked at over this time. */
const WINDOW_MS = 3000;
const POINTS_MAX = 64;

/**
 * The pace of a backlog that drains. Its ceiling keeps room on a link that others use too. Its floor makes
 * live values give way where both together are more than the link carries.
 */
export class CatchUp {
  readonly #options: CatchUpOptions;
  /** Up to here, monotonic milliseconds, the ceiling is used up. */
  #paidUntilMs = Number.NEGATIVE_INFINITY;
  #sentBytes = 0;
  #points: { readonly atMs: number; readonly bytes: number }[] = [];
  #sinceMs: number | null = null;

  constructor(options: CatchUpOptions) {
    this.#options = options;
  }

  /** Blocks wait to be sent, or not any more. */
  waits(isWaiting: boolean, nowMs: number): void {
    if (!isWaiting) this.#sinceMs = null;
    else this.#sinceMs ??= nowMs;
  }

  /** How long to wait before the next block, milliseconds. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#paidUntilMs - nowMs);
  }

  sent(bytes: number, nowMs: number): void {
    const { maxBytesPerS } = this.#options;
    const fromMs = Math.max(this.#paidUntilMs, nowMs - BURST_MS);
    if (Number.isFinite(maxBytesPerS)) this.#paidUntilMs = fromMs + (bytes / maxBytesPerS) * 1000;
    this.#sentBytes += bytes;
    this.#points = this.#points.filter(({ atMs }) => atMs > nowMs - WINDOW_MS);
    // Points that come faster than the window needs them replace each other.
    const before = this.#points.at(-2);
    if (before !== undefined && nowMs - before.atMs < WINDOW_MS / POINTS_MAX) this.#points.pop();
    this.#points.push({ atMs: nowMs, bytes: this.#sentBytes });
  }

  /** Blocks have waited for a whole window and fewer bytes went than the floor asks for. */
  isBelowFloor(nowMs: number): boolean {
    const { minBytesPerS } = this.#options;
    if (minBytesPerS === 0 || this.#sinceMs === null || nowMs - this.#sinceMs < WINDOW_MS) return false;
    const fresh = this.#points.filter(({ atMs }) => atMs > nowMs - WINDOW_MS);
    const first = fresh[0];
    const bytes = first === undefined ? 0 : this.#sentBytes - first.bytes;
    return bytes < (minBytesPerS * WINDOW_MS) / 1000;
  }
}
