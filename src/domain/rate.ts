import { invariant } from './errors.ts';

/** Points that are kept of one counter; with them its rate is known over the whole window. */
const POINTS_MAX = 64;

/** Rate of a counter over a sliding window, from its readings at any times. */
export class RateMeter {
  readonly #windowMs: number;
  #points: { readonly atMs: number; readonly total: number }[] = [];

  constructor(windowMs: number) {
    invariant(windowMs > 0, 'a window has a length');
    this.#windowMs = windowMs;
  }

  /** Notes what the counter says at a monotonic time; a counter that went back begins anew. */
  note(atMs: number, total: number): void {
    const last = this.#points.at(-1);
    if (last !== undefined && total < last.total) this.#points = [];
    // Readings that come faster than the window needs them replace each other, but never the oldest.
    const before = this.#points.at(-2);
    if (last !== undefined && before !== undefined && last.atMs - before.atMs < this.#windowMs / POINTS_MAX) {
      this.#points.pop();
    }
    this.#points.push({ atMs, total });
    while ((this.#points[1]?.atMs ?? atMs) < atMs - this.#windowMs) this.#points.shift();
  }

  /** Per second; `null` before there are two readings at least a second apart. */
  get perSecond(): number | null {
    const first = this.#points[0];
    const last = this.#points.at(-1);
    if (first === undefined || last === undefined || last.atMs - first.atMs < 1000) return null;
    return ((last.total - first.total) / (last.atMs - first.atMs)) * 1000;
  }
}

/** What a store takes in and gives out, counted since its start. */
export interface BufferCounters {
  /** Entries that were sealed into blocks, and the bytes that those blocks take in the ring. */
  readonly acceptedSamples: number;
  readonly acceptedBytes: number;
  /** Entries that a Kernel acknowledged. */
  readonly deliveredSamples: number;
}

/** The pace of a store, and how long it goes on like this. */
export interface BufferPace {
  readonly samplesPerS: number | null;
  readonly bytesPerS: number | null;
  readonly deliveredPerS: number | null;
  /**
   * Until the ring is full if nothing is delivered; `null` while the rate is unknown or nothing comes. As
   * long as nothing waits in the ring it is not known how much less joined blocks will take, and this is too
   * short.
   */
  readonly fullInMs: number | null;
  /** Until everything is delivered at the present pace; `null` where there is no end in sight. */
  readonly drainedInMs: number | null;
}

/** Inflow is a matter of the plant and is averaged over minutes; a drain is over sooner than that. */
const INFLOW_WINDOW_MS = 600_000;
const DRAIN_WINDOW_MS = 30_000;

/** What a store holds. */
export interface HeldNow {
  /** Not taken by anything that waits. */
  readonly freeBytes: number;
  /** A segment that is written to holds blocks as they come; sealed ones have joined ones where that pays. */
  readonly segmentBytes: number;
  /** What waits in the ring, and the bytes of the segments that hold it, joined or not. */
  readonly ringSamples: number;
  readonly ringBytes: number;
  /** What waits in the ring and in memory. */
  readonly waitingSamples: number;
}

/** Follows the counters of a store. */
export class BufferPacer {
  readonly #samples = new RateMeter(INFLOW_WINDOW_MS);
  readonly #bytes = new RateMeter(INFLOW_WINDOW_MS);
  readonly #arriving = new RateMeter(DRAIN_WINDOW_MS);
  readonly #delivered = new RateMeter(DRAIN_WINDOW_MS);

  note(atMs: number, counters: BufferCounters): void {
    this.#samples.note(atMs, counters.acceptedSamples);
    this.#bytes.note(atMs, counters.acceptedBytes);
    this.#arriving.note(atMs, counters.acceptedSamples);
    this.#delivered.note(atMs, counters.deliveredSamples);
  }

  /** With what is held now. */
  pace(held: HeldNow): BufferPace {
    const bytesPerS = this.#bytes.perSecond;
    const deliveredPerS = this.#delivered.perSecond;
    const surplusPerS = (deliveredPerS ?? 0) - (this.#arriving.perSecond ?? 0);
    const isDraining = held.waitingSamples > 0 && surplusPerS > 0;
    return {
      samplesPerS: this.#samples.perSecond,
      bytesPerS,
      deliveredPerS,
      fullInMs: fullInMs(held, this.#samples.perSecond, bytesPerS),
      drainedInMs: isDraining ? (held.waitingSamples / surplusPerS) * 1000 : null,
    };
  }
}

/** Sealed segments will take for a sample what those take that wait now, and no more than comes in. */
function fullInMs(
  { freeBytes, segmentBytes, ringSamples, ringBytes }: HeldNow,
  samplesPerS: number | null,
  bytesPerS: number | null,
): number | null {
  if (samplesPerS === null || bytesPerS === null || bytesPerS <= 0) return null;
  const heldPerS = ringSamples > 0 ? (samplesPerS * ringBytes) / ringSamples : bytesPerS;
  const sealedPerS = heldPerS > 0 ? Math.min(bytesPerS, heldPerS) : bytesPerS;
  const free = Math.max(0, freeBytes);
  const lastBytes = Math.min(free, segmentBytes);
  return ((free - lastBytes) / sealedPerS + lastBytes / bytesPerS) * 1000;
}
