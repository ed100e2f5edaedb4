import { type Block, lastSequence } from './block.ts';
import { decodeBlock } from './codec.ts';

/** Entries that are looked at on either side: any single one may have the time of a clock that is off. */
const EDGE_ENTRIES = 8;

/** A run of numbers with the times at its two edges, integer µs. */
export interface EdgedRun {
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** What was numbered before it is not younger than this. */
  readonly startUs: number;
  /** What was numbered behind it is not older than this. */
  readonly endUs: number;
}

/**
 * The edges of a block. Its header has the earliest and the latest time of all entries, which is something
 * else: a block of a bulk load covers minutes, and a device may tell of last year. @throws KomError
 * KOM_BLOCK_CORRUPT
 */
export function edgesOf(block: Block): EdgedRun {
  const { sourceTimesUs } = decodeBlock(block);
  return {
    firstSequence: block.header.firstSequence,
    lastSequence: lastSequence(block.header),
    startUs: Math.max(...sourceTimesUs.slice(0, EDGE_ENTRIES)),
    endUs: Math.min(...sourceTimesUs.slice(-EDGE_ENTRIES)),
  };
}
