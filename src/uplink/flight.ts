import type { StreamCoverage } from './messages.ts';

/** Bounds of the bytes that may be sent and not acknowledged. */
export const FLIGHT_BYTES_MIN = 64 * 1024;
export const FLIGHT_BYTES_MAX = 4 * 1024 * 1024;
/** What is in flight should be acknowledged within about this time. */
const TARGET_MS = 300;

interface InFlight {
  readonly streamId: string;
  readonly lastSequence: number;
  readonly bytes: number;
  readonly sentMs: number;
}

/**
 * The bytes in flight on the data lane, held near (measured rate × 300 ms): enough to keep a fast link
 * busy, little enough that a slow one is not clogged for seconds.
 */
export class Flight {
  #blocks: InFlight[] = [];
  #bytes = 0;
  #bytesMax = 4 * FLIGHT_BYTES_MIN;
  #wasFull = false;

  get bytes(): number {
    return this.#bytes;
  }

  get bytesMax(): number {
    return this.#bytesMax;
  }

  /** How much more may be sent now; at least one block may always be in flight. */
  get roomBytes(): number {
    const room = this.#bytes === 0 ? this.#bytesMax : Math.max(0, this.#bytesMax - this.#bytes);
    if (room === 0) this.#wasFull = true;
    return room;
  }

  sent(block: InFlight): void {
    this.#blocks.push(block);
    this.#bytes += block.bytes;
  }

  /** Takes what an Ack covers out of the flight and adapts the bound to how long that took. */
  acknowledged(coverage: readonly StreamCoverage[], nowMs: number): void {
    const through = new Map(coverage.map((each) => [each.streamId, each.throughSequence]));
    const done = this.#blocks.filter((block) => block.lastSequence <= (through.get(block.streamId) ?? 0));
    if (done.length === 0) return;
    this.#blocks = this.#blocks.filter((block) => block.lastSequence > (through.get(block.streamId) ?? 0));
    for (const block of done) this.#bytes -= block.bytes;
    const slowestMs = Math.max(...done.map((block) => nowMs - block.sentMs));
    if (slowestMs > 2 * TARGET_MS) this.#bytesMax = Math.max(FLIGHT_BYTES_MIN, this.#bytesMax / 2);
    else if (this.#wasFull && slowestMs < TARGET_MS) {
      this.#bytesMax = Math.min(FLIGHT_BYTES_MAX, this.#bytesMax * 1.5);
    }
    this.#wasFull = false;
  }

  /** Everything is to be sent again. */
  clear(): void {
    this.#blocks = [];
    this.#bytes = 0;
  }
}
