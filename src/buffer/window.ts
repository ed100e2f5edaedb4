import { type Block, lastSequence } from '../domain/block/block.ts';
import type { SequenceRange } from '../domain/coverage.ts';
import { invariant } from '../domain/errors.ts';

/** Numbered entries in memory at most; so many can a crash lose at most. */
export const WINDOW_SAMPLES_MAX = 500_000;

/** A block in memory. */
export interface WindowBlock {
  readonly block: Block;
  /** Monotonic time at which it came in, milliseconds. */
  readonly sinceMs: number;
  /** Monotonic time at which its first entry was numbered, milliseconds. */
  readonly firstMs: number;
  /** It is in the ring as well. */
  durable: boolean;
}

/** The blocks of the running stream that are held in memory, by sequence, without holes. */
export class Window {
  #blocks: WindowBlock[] = [];
  #bytes = 0;
  #samples = 0;
  /** The first ones are durable: so many blocks, with so many samples. */
  #durable = { blocks: 0, samples: 0 };
  readonly #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get hasRoom(): boolean {
    return this.#bytes < this.#bytesMax && this.#samples < WINDOW_SAMPLES_MAX;
  }

  /** It is past half of one of its bounds. */
  get isCrowded(): boolean {
    return this.#bytes > this.#bytesMax / 2 || this.#samples > WINDOW_SAMPLES_MAX / 2;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get samples(): number {
    return this.#samples;
  }

  get blocks(): readonly WindowBlock[] {
    return this.#blocks;
  }

  /** The oldest block that is not in the ring as well. */
  get undurable(): WindowBlock | undefined {
    return this.#blocks[this.#durable.blocks];
  }

  /** Samples that are here only. */
  get undurableSamples(): number {
    return this.#samples - this.#durable.samples;
  }

  /** It has everything from this number on. */
  beginsBy(sequence: number): boolean {
    const [oldest] = this.#blocks;
    return oldest !== undefined && oldest.block.header.firstSequence <= sequence;
  }

  /** Nothing in it came before this monotonic time, milliseconds. */
  isSince(ms: number): boolean {
    return (this.#blocks[0]?.sinceMs ?? ms) >= ms;
  }

  push(block: Block, times: Pick<WindowBlock, 'sinceMs' | 'firstMs'>): void {
    const last = this.#blocks.at(-1)?.block.header;
    invariant(
      last === undefined || block.header.firstSequence === lastSequence(last) + 1,
      'the blocks of the window are consecutive',
    );
    this.#blocks.push({ block, ...times, durable: false });
    this.#bytes += block.bytes.length;
    this.#samples += block.header.count;
  }

  /** The block that has these numbers. */
  find(streamId: string, range: SequenceRange): Block | undefined {
    return this.#blocks.find(({ block }) => isBlockOf(block, streamId, range))?.block;
  }

  /** Forgets every block that ends at or before a sequence. */
  dropThrough(sequence: number): void {
    let count = 0;
    for (const { block, durable } of this.#blocks) {
      if (lastSequence(block.header) > sequence) break;
      this.#bytes -= block.bytes.length;
      this.#samples -= block.header.count;
      if (durable) this.#countDurable(-1, -block.header.count);
      count++;
    }
    if (count > 0) this.#blocks = this.#blocks.slice(count);
  }

  /** Marks every block that ends at or before a sequence as durable. */
  markDurableThrough(sequence: number): void {
    for (let each = this.undurable; each !== undefined; each = this.undurable) {
      if (lastSequence(each.block.header) > sequence) return;
      each.durable = true;
      this.#countDurable(1, each.block.header.count);
    }
  }

  /** Durable blocks may stay, to be sent from here, up to half of each of the bounds. */
  trimDurable(): void {
    for (let oldest = this.#blocks[0]; this.isCrowded && oldest?.durable === true; oldest = this.#blocks[0]) {
      this.dropThrough(lastSequence(oldest.block.header));
    }
  }

  #countDurable(blocks: number, samples: number): void {
    this.#durable.blocks += blocks;
    this.#durable.samples += samples;
  }
}

/** The block has these numbers; it may have been sent in pieces. */
export function isBlockOf({ header }: Block, streamId: string, { first, last }: SequenceRange): boolean {
  return header.streamId === streamId && header.firstSequence <= first && lastSequence(header) >= last;
}
