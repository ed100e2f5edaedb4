import { type BlockHeader, lastSequence } from '../domain/block/block.ts';
import { FIRST_SEQUENCE } from '../domain/stream.ts';
import type { RingStream } from './ring.ts';

/** Ranges that are remembered at most; the oldest is then sent once more, as data behind its gap. */
const RANGES_MAX = 10_000;

interface GivenUp {
  readonly streamId: string;
  readonly first: number;
  readonly last: number;
}

/**
 * Numbers of this run that are not to be sent though the ring holds them: they are in a durable gap record,
 * `rejected` or `dropped`, which no Kernel has acknowledged yet.
 */
export class GivenUpRanges {
  #ranges: GivenUp[] = [];

  /** What a Kernel has of a block, as `streams` tell, need not go again either. */
  add(range: GivenUp, streams: readonly RingStream[]): void {
    const { streamId, first, last } = range;
    const { ackedThrough = 0 } = streams.find(({ info }) => info.streamId === streamId) ?? {};
    this.#ranges.push({ streamId, first: first <= ackedThrough + 1 ? FIRST_SEQUENCE : first, last });
    if (this.#ranges.length > RANGES_MAX) this.#ranges.shift();
  }

  acknowledged(streamId: string, through: number): void {
    if (this.#ranges.length === 0) return;
    this.#ranges = this.#ranges.filter((range) => range.streamId !== streamId || range.last > through);
  }

  /** All numbers of the block are given up. */
  has(header: BlockHeader): boolean {
    return this.#ranges.some(
      ({ streamId, first, last }) =>
        streamId === header.streamId && first <= header.firstSequence && lastSequence(header) <= last,
    );
  }
}
