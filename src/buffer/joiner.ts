import { type BlockHeader, lastSequence } from '../domain/block/block.ts';
import { BlockBuilder } from '../domain/block/builder.ts';
import { decodeBlock } from '../domain/block/codec.ts';
import { isKomError } from '../domain/errors.ts';
import type { RingBlock } from './ring.ts';

/**
 * A joined block is full at this many entries. Twice as many take 7 % less, and twice the time in one go: it
 * is made on the event loop, in between polls.
 */
export const JOINED_ENTRIES_MAX = 8192;
const JOINED_BODY_BYTES_MAX = 512 * 1024;
/** What has this many entries is as good as full. */
const FULL_ENTRIES_MIN = JOINED_ENTRIES_MAX / 2;

/**
 * Makes full blocks of small ones that follow each other: the same entries under the same numbers, in the
 * same order, with the same dictionary. A joined block stands at the position of the last one that went into
 * it, so that a reader that goes on behind any of them misses none.
 */
export class Joiner {
  readonly #builder = new BlockBuilder();
  /** What is collected: blocks that follow each other, the first and the last of them. */
  #waiting: { readonly first: RingBlock; readonly last: RingBlock } | null = null;

  /**
   * Takes the next block of the ring; returns what is complete by it. `isAlone`: it is not joined with others
   * but handed through as it is.
   */
  add(next: RingBlock, isAlone: boolean): RingBlock[] {
    const { header } = next.block;
    const isWhole = isAlone || header.count >= FULL_ENTRIES_MIN;
    const complete = isWhole || !this.#takes(header) ? this.flush() : [];
    if (isWhole || !this.#collect(next)) return [...complete, ...this.flush(), next];
    return complete;
  }

  /** What is left. */
  flush(): RingBlock[] {
    if (this.#waiting === null) return [];
    const { first, last } = this.#waiting;
    this.#waiting = null;
    if (first === last) {
      this.#builder.clear();
      return [first];
    }
    const block = this.#builder.seal({
      ...first.block.header,
      sealedMonotonicUs: last.block.header.sealedMonotonicUs,
    });
    return [{ position: last.position, block }];
  }

  /** False: it cannot be decoded. */
  #collect(next: RingBlock): boolean {
    try {
      this.#builder.addBlock(decodeBlock(next.block));
    } catch (error) {
      if (isKomError(error, 'KOM_BLOCK_CORRUPT')) return false;
      throw error;
    }
    this.#waiting = { first: this.#waiting?.first ?? next, last: next };
    return true;
  }

  /** The block follows what waits, and there is room for it. */
  #takes(header: BlockHeader): boolean {
    if (this.#waiting === null) return true;
    const last = this.#waiting.last.block.header;
    const isSame =
      header.streamId === last.streamId &&
      header.dictionaryHash === last.dictionaryHash &&
      header.isClockUncertain === last.isClockUncertain;
    const isNext = header.firstSequence === lastSequence(last) + 1;
    const { count, bodyBytesMax } = this.#builder;
    const hasRoom = count + header.count <= JOINED_ENTRIES_MAX && bodyBytesMax < JOINED_BODY_BYTES_MAX;
    return isSame && isNext && hasRoom;
  }
}
