import type { Block } from '../../domain/block/block.ts';
import { type Coverage, type SequenceRange, subtract } from '../../domain/coverage.ts';
import type { NumberedSpan, SequenceGap } from '../../domain/gap.ts';
import { type RangeSet, rangesOf } from '../../domain/range-set.ts';
import { Outstanding } from './outstanding.ts';
import { numbersOf } from './refill.ts';

/** A taker keeps no more than this in memory, as blocks came. */
const ON_ITS_WAY_MAX = { bytesMax: 16 * 1024 * 1024, entriesMax: Number.POSITIVE_INFINITY };
/** Of what was there before the connection: the present waits behind it at most. */
const PAST_ON_ITS_WAY_MAX = { bytesMax: 1024 * 1024, entriesMax: 131_072 };

/** What was given over a connection and is not yet told to be there. */
export class Given {
  readonly #data = new Map<string, RangeSet>();
  readonly #gaps = new Map<string, RangeSet>();
  readonly #all = new Outstanding(ON_ITS_WAY_MAX);
  readonly #past = new Outstanding(PAST_ON_ITS_WAY_MAX);

  get isFull(): boolean {
    return this.#all.isFull;
  }

  /** As much of the past is on its way as may be. */
  get isFullOfPast(): boolean {
    return this.#past.isFull;
  }

  /** Of blocks. */
  get bytes(): number {
    return this.#all.bytes;
  }

  /** Numbers of blocks; ascending and disjoint. */
  data(streamId: string): readonly SequenceRange[] {
    return this.#data.get(streamId)?.ranges ?? [];
  }

  /** Numbers of gap records; ascending and disjoint. */
  gaps(streamId: string): readonly SequenceRange[] {
    return this.#gaps.get(streamId)?.ranges ?? [];
  }

  /** Not all numbers of a gap record are on their way. */
  lacks({ streamId, firstSequence: first, lastSequence: last }: SequenceGap): boolean {
    return subtract({ first, last }, this.gaps(streamId)).length > 0;
  }

  block(block: Block, isPast: boolean): void {
    rangesOf(this.#data, block.header.streamId).add(numbersOf(block));
    this.#all.given(block);
    if (isPast) this.#past.given(block);
  }

  gap({ streamId, firstSequence: first, lastSequence: last }: SequenceGap): void {
    rangesOf(this.#gaps, streamId).add({ first, last });
  }

  told(streamId: string, coverage: Coverage): void {
    for (const range of coverage) {
      if (range.state === 'data') this.#data.get(streamId)?.remove(range);
      this.#gaps.get(streamId)?.remove(range);
    }
    for (const each of [this.#all, this.#past]) each.told(streamId, coverage);
  }

  /**
   * It is not given again over this connection, unless `again` says so. Returns what was refused;
   * `undefined`: no such block is on its way.
   */
  refused(streamId: string, firstSequence: number): NumberedSpan | undefined {
    this.#past.refused(streamId, firstSequence);
    return this.#all.refused(streamId, firstSequence);
  }

  /** A block that was refused may be given once more. */
  again({ streamId, firstSequence: first, count }: NumberedSpan): void {
    this.#data.get(streamId)?.remove({ first, last: first + count - 1 });
  }

  /** No block is on its way any more. */
  clearData(): void {
    for (const each of [this.#data, this.#all, this.#past]) each.clear();
  }

  clear(): void {
    this.clearData();
    this.#gaps.clear();
  }
}
