import type { Clock } from '../clock.ts';
import type { SimulatedRandom } from './random.ts';

/** What a direction between two hosts does to bytes at the moment. */
export interface Path {
  readonly latencyMs: number;
  readonly bytesPerSecond: number;
  /** Nothing gets through; it waits until the path is whole again. */
  readonly isCut: boolean;
  /** Monotonic time until which bytes already on the way occupy the path. */
  busyUntilMs: number;
}

/** What a pipe does at its far end. */
export interface PipeEnd {
  arrived(bytes: Uint8Array): void;
  ended(): void;
}

export interface PipeSetup {
  readonly clock: Clock;
  readonly random: SimulatedRandom;
  readonly path: Path;
  readonly end: PipeEnd;
  /** Called when the pipe breaks by itself, at the byte that it was told to. */
  readonly onBreak: () => void;
  /** Breaks when so many bytes have gone in; never if infinite. */
  readonly breakAfterBytes: number;
}

/** Like a kernel's socket buffers: what the sender may queue, and what may be on the way or unread. */
export const SEND_BUFFER_BYTES = 64 * 1024;
export const RECEIVE_WINDOW_BYTES = 64 * 1024;

/** On a path of limited rate connections take turns by segments of this size. */
const SEGMENT_BYTES = 1460;

/** This share of the pieces is a few bytes: sooner or later every frame is split at every place. */
const TINY_PIECE_SHARE = 0.15;
const TINY_PIECE_BYTES = 16;

/** One direction of a connection: ordered bytes with latency, rate, a window, and cuts at random places. */
export class Pipe {
  readonly #setup: PipeSetup;
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #outstandingBytes = 0;
  #leftUntilBreakBytes: number;
  #lastArrivalMs = 0;
  #isEnding = false;
  #isSending = false;
  #isDead = false;
  #waiters: (() => void)[] = [];
  /** Arrivals that a cut holds back; bounded by the window. */
  #held: (() => void)[] = [];

  constructor(setup: PipeSetup) {
    this.#setup = setup;
    this.#leftUntilBreakBytes = setup.breakAfterBytes;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Queues bytes; resolves when there is room for more, or when the pipe dies. */
  async send(bytes: Uint8Array): Promise<void> {
    if (bytes.length > 0) this.#queue.push(bytes.slice());
    this.#queuedBytes += bytes.length;
    this.#pump();
    while (this.#queuedBytes > SEND_BUFFER_BYTES && !this.#isDead) {
      await new Promise<void>((resolve) => {
        this.#waiters.push(resolve);
      });
    }
  }

  /** The end follows what is queued. */
  finish(): void {
    this.#isEnding = true;
    this.#pump();
  }

  /** The far end took bytes out: the window opens. */
  consumed(bytes: number): void {
    this.#outstandingBytes -= bytes;
    this.#pump();
  }

  /** The path changed: what a cut held back arrives, and sending goes on. */
  pathChanged(): void {
    if (this.#setup.path.isCut) return;
    const held = this.#held;
    this.#held = [];
    for (const arrive of held) arrive();
    this.#pump();
  }

  /** Nothing more goes in or comes out. */
  kill(): void {
    this.#isDead = true;
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    this.#held = [];
    this.#wake();
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const resolve of waiters) resolve();
  }

  #pump(): void {
    if (this.#isDead || this.#isSending || this.#setup.path.isCut) return;
    if (this.#queuedBytes === 0) {
      if (this.#isEnding) this.#sendEnd();
      return;
    }
    const roomBytes = RECEIVE_WINDOW_BYTES - this.#outstandingBytes;
    if (roomBytes > 0) this.#sendPiece(this.#take(this.#pieceSize(roomBytes)));
  }

  #pieceSize(roomBytes: number): number {
    const { random, path } = this.#setup;
    const limit = Number.isFinite(path.bytesPerSecond) ? SEGMENT_BYTES : RECEIVE_WINDOW_BYTES;
    const most = Math.min(this.#queuedBytes, roomBytes, limit);
    const wanted = random.chance(TINY_PIECE_SHARE) ? TINY_PIECE_BYTES : most;
    return 1 + random.below(Math.min(most, wanted));
  }

  #take(size: number): Uint8Array {
    const [only] = this.#queue;
    // Mostly a piece is of one message, whose bytes are this pipe's own: nothing is to be joined.
    if (only !== undefined && size <= only.length) {
      if (size === only.length) this.#queue.shift();
      else this.#queue[0] = only.subarray(size);
      this.#queuedBytes -= size;
      return only.subarray(0, size);
    }
    const piece = new Uint8Array(size);
    let filled = 0;
    while (filled < size) {
      const first = this.#queue[0];
      if (first === undefined) break;
      const part = first.subarray(0, size - filled);
      piece.set(part, filled);
      filled += part.length;
      if (part.length === first.length) this.#queue.shift();
      else this.#queue[0] = first.subarray(part.length);
    }
    this.#queuedBytes -= size;
    return piece;
  }

  #sendPiece(whole: Uint8Array): void {
    const { clock, path, end, onBreak } = this.#setup;
    const piece = whole.subarray(0, Math.min(whole.length, this.#leftUntilBreakBytes));
    this.#leftUntilBreakBytes -= piece.length;
    this.#outstandingBytes += piece.length;
    const nowMs = clock.monotonicMs();
    path.busyUntilMs = Math.max(path.busyUntilMs, nowMs) + (piece.length / path.bytesPerSecond) * 1000;
    const breaks = this.#leftUntilBreakBytes === 0;
    this.#arriveLater(path.busyUntilMs, () => {
      end.arrived(piece);
      if (breaks) onBreak();
    });
    this.#isSending = true;
    clock.schedule('network send', path.busyUntilMs - nowMs, () => {
      this.#isSending = false;
      if (breaks || this.#isDead) return;
      if (this.#queuedBytes <= SEND_BUFFER_BYTES) this.#wake();
      this.#pump();
    });
  }

  #sendEnd(): void {
    this.#isEnding = false;
    this.#arriveLater(this.#setup.clock.monotonicMs(), () => this.#setup.end.ended());
  }

  /** Order is kept even when the latency falls while something is on the way. */
  #arriveLater(sentMs: number, deliver: () => void): void {
    const { clock, path } = this.#setup;
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, sentMs + path.latencyMs);
    const arrive = () => {
      if (this.#isDead) return;
      if (path.isCut || this.#held.length > 0) this.#held.push(arrive);
      else deliver();
    };
    clock.schedule('network arrival', this.#lastArrivalMs - clock.monotonicMs(), arrive);
  }
}
