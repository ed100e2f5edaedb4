import { LinkRate } from './link-rate.ts';
import type { StreamCoverage } from './messages.ts';

/** Bound of the bytes that may be sent and not acknowledged, wherever they are. */
export const UNACKNOWLEDGED_BYTES_MAX = 4 * 1024 * 1024;

interface InFlight {
  readonly streamId: string;
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly bytes: number;
  /** Bytes sent on the connection with it and before it. */
  readonly throughBytes: number;
}

/**
 * What is on its way on the data lane. Two bounds: bytes that have not arrived are held near (measured rate
 * × 300 ms), so that a slow link is not clogged; bytes that are not acknowledged stay below 4 MiB, so that an
 * archive that is slow is not flooded.
 */
export class Flight {
  readonly #link: LinkRate;
  #blocks: InFlight[] = [];
  #bytes = 0;

  /** `sentBytes`: what was sent on the connection before, all of which has arrived. */
  constructor(sentBytes: number) {
    this.#link = new LinkRate(sentBytes);
  }

  /** Sent and not acknowledged. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What the link carries, bytes a second; `null` before that is known. */
  get bytesPerS(): number | null {
    return this.#link.bytesPerS;
  }

  /** No block should be larger: it would wait on the way for longer than is good. */
  get blockBytesMax(): number {
    return this.#link.messageBytesMax;
  }

  /** A small message should find the way empty; until then nothing else is sent. */
  isProbeDue(nowMs: number): boolean {
    return this.#link.isProbeDue(nowMs);
  }

  /** Nothing is on the way. */
  get isIdle(): boolean {
    return this.#link.waitingBytes === 0;
  }

  /** How much more may be sent now. */
  get roomBytes(): number {
    const link = this.#link.waitingBytesMax - this.#link.waitingBytes;
    return Math.max(0, Math.min(link, UNACKNOWLEDGED_BYTES_MAX - this.#bytes));
  }

  /** So much may be sent; with nothing on the way at least one block may always go. */
  hasRoom(bytes: number): boolean {
    if (this.isIdle && this.#bytes === 0) return true;
    const isShort = this.isIdle && this.#bytes + bytes <= UNACKNOWLEDGED_BYTES_MAX;
    return isShort || this.roomBytes >= bytes;
  }

  /** `totalBytes`: all that was sent on the connection so far, with this block. */
  sent(block: Omit<InFlight, 'throughBytes'>, totalBytes: number, nowMs: number): void {
    this.#blocks.push({ ...block, throughBytes: totalBytes });
    this.#bytes += block.bytes;
    this.#link.sent(totalBytes, nowMs);
  }

  /** Something else than a block was sent. `totalBytes` as in `sent`. */
  sentOther(totalBytes: number, nowMs: number): void {
    this.#link.sent(totalBytes, nowMs);
  }

  /** So much of the connection has arrived, as the Kernel says. */
  arrived(totalBytes: number, nowMs: number): void {
    this.#link.arrived(totalBytes, nowMs);
  }

  /**
   * Takes what an Ack covers out of the flight; what is acknowledged has arrived. Before mirrored blocks
   * numbers may be missing for as long as their owner is away.
   */
  acknowledged(coverage: readonly StreamCoverage[], nowMs: number): void {
    const byId = new Map(coverage.map((each) => [each.streamId, each]));
    const isDone = ({ streamId, firstSequence, lastSequence }: InFlight): boolean => {
      const { throughSequence = 0, held = [] } = byId.get(streamId) ?? {};
      if (lastSequence <= throughSequence) return true;
      return held.some(({ first, last }) => first <= firstSequence && lastSequence <= last);
    };
    const done = this.#blocks.filter(isDone);
    if (done.length === 0) return;
    this.#blocks = this.#blocks.filter((block) => !isDone(block));
    for (const block of done) this.#bytes -= block.bytes;
    this.#link.arrived(Math.max(...done.map(({ throughBytes }) => throughBytes)), nowMs);
  }

  /** Everything is to be sent again. */
  clear(): void {
    this.#blocks = [];
    this.#bytes = 0;
  }
}
