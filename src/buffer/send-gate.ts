import type { BlockHeader } from '../domain/block/block.ts';

/** `on-request`: nothing goes out before somebody releases it; the archive lane stays in outage. */
export type SendMode = 'auto' | 'on-request';

/** What of the backlog may be given out. */
export class SendGate {
  #mode: SendMode = 'auto';
  /** By stream, the last number that is released. */
  #released: ReadonlyMap<string, number> = new Map();
  /** Everything that is released was given out. */
  #isDrained = true;

  get mode(): SendMode {
    return this.#mode;
  }

  /** Nothing is to be given out now. */
  get isShut(): boolean {
    return this.#mode === 'on-request' && this.#isDrained;
  }

  setMode(mode: SendMode): void {
    this.#mode = mode;
    this.#released = new Map();
    this.#isDrained = true;
  }

  /** By stream, the last number that may go. */
  release(through: ReadonlyMap<string, number>): void {
    this.#released = through;
    this.#isDrained = false;
  }

  /** What was given out is given out again. */
  rewind(): void {
    this.#isDrained = this.#released.size === 0;
  }

  /** A block that is not released came: there is no released one behind it. */
  drained(): void {
    this.#isDrained = true;
  }

  /** Of a block that was joined of several, some may be behind what is released: it goes whole. */
  allows(header: BlockHeader): boolean {
    if (this.#mode === 'auto') return true;
    return header.firstSequence <= (this.#released.get(header.streamId) ?? 0);
  }
}
