/** Bounds of the bytes that may be on the way on one connection. */
export const WAITING_BYTES_MIN = 1024;
export const WAITING_BYTES_MAX = 4 * 1024 * 1024;
/** Before anything is known of a link: it may be a slow one, and a fast one is found out in a few trips. */
const WAITING_BYTES_START = 2048;
/** What is on the way should wait for no longer than this before it is on the line. */
const TARGET_MS = 300;
/** The best of the measurements of this time counts. */
const RATE_WINDOW_MS = 5000;
/** Measurements come with the reports of the other side, some 20 a second. */
const RATES_MAX = 500;
/** The trip is measured by a small message that finds the way empty; at least so often one must. */
const TRIP_AGE_MAX_MS = 10_000;
const SMALL_BYTES = 512;
/** What arrived with less delay than this did not wait: twice as much may be tried. */
const UNDELAYED_MS = 100;
/** One message takes up this part of what may be on the way, so that it never stands still in between. */
const PARTS = 3;
/** Sent and not yet reported; more are joined, so that a side that never reports costs nothing. */
const MARKS_MAX = 4096;

interface Mark {
  /** Bytes sent with it and before it. */
  throughBytes: number;
  readonly sentMs: number;
  /** Bytes that had arrived when it was sent, and when that was heard: what was on the way came since. */
  readonly arrivedBytes: number;
  readonly arrivedMs: number;
  /** A small message with nothing ahead of it: its trip is that of the empty link. */
  readonly isProbe: boolean;
}

/**
 * How much one connection carries, told from what the other side reports to have received. The bytes on
 * the way are bounded by (measured rate × (trip of the empty link + 300 ms)): enough to keep the link busy,
 * little enough that nothing waits behind it for long. A link that was underrated is found out: what arrives
 * without delay may be doubled.
 */
export class LinkRate {
  #sentBytes = 0;
  #arrivedBytes = 0;
  #arrivedMs = 0;
  #marks: Mark[] = [];
  #rates: { readonly atMs: number; readonly value: number; readonly undelayedBytes: number }[] = [];
  #tripMs: number | null = null;
  #tripAtMs = Number.NEGATIVE_INFINITY;

  #isReported = false;

  /** `sentBytes`: what was sent before, all of which has arrived. */
  constructor(sentBytes = 0) {
    this.#sentBytes = sentBytes;
    this.#arrivedBytes = sentBytes;
  }

  /** Bytes sent and not reported to have arrived; 0 if the other side reports nothing. */
  get waitingBytes(): number {
    return this.#isReported ? this.#sentBytes - this.#arrivedBytes : 0;
  }

  /** Bytes a second; `null` before anything is known. */
  get bytesPerS(): number | null {
    return this.#rates.length === 0 ? null : Math.max(...this.#rates.map(({ value }) => value));
  }

  /** Bound on the bytes on the way. */
  get waitingBytesMax(): number {
    const { bytesPerS } = this;
    if (bytesPerS === null) return WAITING_BYTES_START;
    const undelayedBytes = Math.max(...this.#rates.map((each) => each.undelayedBytes));
    const wanted = Math.max((bytesPerS * ((this.#tripMs ?? 0) + TARGET_MS)) / 1000, 2 * undelayedBytes);
    return Math.min(WAITING_BYTES_MAX, Math.max(WAITING_BYTES_MIN, Math.floor(wanted)));
  }

  /** No message should be larger. */
  get messageBytesMax(): number {
    return Math.floor(this.waitingBytesMax / PARTS);
  }

  /** The trip was not measured for long: let the way become empty and send something small. */
  isProbeDue(nowMs: number): boolean {
    return nowMs - this.#tripAtMs > TRIP_AGE_MAX_MS;
  }

  /**
   * All that was sent on the connection so far. `isToMeasure`: the last of it went to measure the trip, as
   * there was nothing smaller to send.
   */
  sent(totalBytes: number, nowMs: number, isToMeasure = false): void {
    const isIdle = this.#sentBytes === this.#arrivedBytes;
    const isProbe = isIdle && (isToMeasure || totalBytes - this.#sentBytes <= SMALL_BYTES);
    this.#sentBytes = totalBytes;
    const last = this.#marks.at(-1);
    if (last !== undefined && this.#marks.length >= MARKS_MAX) last.throughBytes = totalBytes;
    else {
      if (isIdle) this.#arrivedMs = nowMs;
      this.#marks.push({
        throughBytes: totalBytes,
        sentMs: nowMs,
        arrivedBytes: this.#arrivedBytes,
        arrivedMs: this.#arrivedMs,
        isProbe,
      });
    }
  }

  /** All that arrived so far, as the other side says; a figure that is impossible is ignored. */
  arrived(totalBytes: number, nowMs: number): void {
    this.#isReported ||= totalBytes > 0;
    if (totalBytes <= this.#arrivedBytes || totalBytes > this.#sentBytes) return;
    this.#arrivedBytes = totalBytes;
    this.#arrivedMs = nowMs;
    const later = this.#marks.findIndex(({ throughBytes }) => throughBytes > totalBytes);
    const done = this.#marks.splice(0, later === -1 ? this.#marks.length : later);
    const last = done.at(-1);
    if (last === undefined) return;
    const value = ((totalBytes - last.arrivedBytes) / Math.max(1, nowMs - last.arrivedMs)) * 1000;
    this.#rates = this.#rates.filter(({ atMs }) => atMs > nowMs - RATE_WINDOW_MS).slice(1 - RATES_MAX);
    const isDelayed = nowMs - last.sentMs > (this.#tripMs ?? 0) + UNDELAYED_MS;
    const undelayedBytes = isDelayed ? 0 : last.throughBytes - last.arrivedBytes;
    this.#rates.push({ atMs: nowMs, value, undelayedBytes });
    const probe = done.find(({ isProbe }) => isProbe);
    if (probe === undefined) return;
    this.#tripMs = nowMs - probe.sentMs;
    this.#tripAtMs = nowMs;
  }
}
