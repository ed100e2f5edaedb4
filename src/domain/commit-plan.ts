import { type BlockHeader, lastSequence } from './block/block.ts';
import {
  type Coverage,
  countOf,
  coverWithData,
  coverWithGap,
  isMoreExact,
  type SequenceRange,
  subtract,
} from './coverage.ts';
import { countWithout, OPEN_END, type SequenceGap } from './gap.ts';

/** What a transaction changes, worked out before anything is written. */
export interface CommitPlan {
  /** New coverage of every stream whose coverage changes. */
  readonly coverage: ReadonlyMap<string, Coverage>;
  /** For each block of the transaction, by position: the numbers whose entries are to be inserted. */
  readonly inserts: readonly (readonly SequenceRange[])[];
  /** Gap records to keep: one for each run of numbers of which no more exact word was there. */
  readonly gaps: readonly SequenceGap[];
  /** What is there of these numbers is to be deleted first; `inserts` has all of them again. */
  readonly repairs: readonly RepairedRange[];
}

/** Numbers of a stream that are to be inserted anew. */
export interface RepairedRange extends SequenceRange {
  readonly streamId: string;
}

/** The parts of a transaction that change coverage. */
export interface CoverageRequest {
  readonly blocks: readonly { readonly block: { readonly header: BlockHeader }; readonly repair?: true }[];
  readonly gaps: readonly SequenceGap[];
}

/**
 * Decides what of a transaction is new. Blocks come before gaps: data is never replaced and a gap fills only
 * what nothing better covers, so this order leaves the fewest gap records.
 */
export function planCommit(
  coverageOf: (streamId: string) => Coverage,
  { blocks, gaps }: CoverageRequest,
): CommitPlan {
  const coverage = new Map<string, Coverage>();
  const current = (streamId: string): Coverage => coverage.get(streamId) ?? coverageOf(streamId);
  const inserts: (readonly SequenceRange[])[] = [];
  const repairs: RepairedRange[] = [];
  for (const [index, { block, repair }] of blocks.entries()) {
    const { streamId } = block.header;
    const range = { first: block.header.firstSequence, last: lastSequence(block.header) };
    let before = current(streamId);
    if (repair === true) {
      repairs.push({ streamId, ...range });
      before = before.flatMap((each) =>
        subtract(each, [range]).map((part) => ({ ...part, state: each.state })),
      );
      for (const [earlier, ranges] of inserts.entries()) {
        if (blocks[earlier]?.block.header.streamId !== streamId) continue;
        inserts[earlier] = ranges.flatMap((each) => subtract(each, [range]));
      }
    }
    const change = coverWithData(before, range);
    if (change.changed.length > 0) coverage.set(streamId, change.coverage);
    inserts[index] = change.changed;
  }
  const records = gaps.flatMap((gap): SequenceGap[] => {
    const range = { first: gap.firstSequence, last: gap.lastSequence };
    const change = coverWithGap(current(gap.streamId), range, gap.reason);
    if (change.changed.length > 0) coverage.set(gap.streamId, change.coverage);
    return splitGap(gap, change.changed);
  });
  return { coverage, inserts, gaps: records, repairs };
}

/**
 * What is left of a kept gap record after data, or what its store told of them, replaced some of its numbers.
 * A record whose numbers are all replaced is gone; so is one with an open end once that were as many as can
 * have been lost at most.
 */
export function remainingGap(gap: SequenceGap, coverage: Coverage): SequenceGap[] {
  const known = coverage.filter(({ state }) => state === 'data' || isMoreExact(state, gap.reason));
  const rest = subtract({ first: gap.firstSequence, last: gap.lastSequence }, known);
  const left = splitGap(gap, rest);
  const delivered = gap.lastSequence === OPEN_END && countOf(rest) < sizeOf(gap);
  return delivered ? left.filter((part) => part.countAtMost > 0) : left;
}

function sizeOf(gap: SequenceGap): number {
  return gap.lastSequence - gap.firstSequence + 1;
}

/** One record for each part. A part with an end has lost all its numbers; the open part at most the rest. */
function splitGap(gap: SequenceGap, parts: readonly SequenceRange[]): SequenceGap[] {
  const covered = sizeOf(gap) - countOf(parts);
  let closed = 0;
  return parts.map(({ first, last }): SequenceGap => {
    const open = last === OPEN_END;
    const size = last - first + 1;
    if (!open) closed += size;
    const countAtMost = open ? countWithout(gap.countAtMost, covered + closed) : size;
    return { ...gap, firstSequence: first, lastSequence: last, countAtMost };
  });
}
