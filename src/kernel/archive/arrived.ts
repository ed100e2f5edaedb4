import { isTimeGapAt, timeGapAt } from '../../domain/block/codec.ts';
import type { CommitPlan } from '../../domain/commit-plan.ts';
import { moveTimeGap, type TimeGap } from '../../domain/sample.ts';
import { type SequenceSteps, stepAt } from '../../domain/sequence-steps.ts';
import type { ArchiveTransaction } from '../../world/archive.ts';

/** A time gap that a transaction brings. */
export interface ArrivedTimeGap {
  readonly streamId: string;
  readonly sequence: number;
  /** With its times corrected. */
  readonly gap: TimeGap;
  /** As it came. */
  readonly raw: TimeGap;
}

/** The time gaps of a transaction that are new. */
export function arrivedTimeGaps(
  transaction: ArchiveTransaction,
  plan: CommitPlan,
  offsetsOf: (streamId: string) => SequenceSteps,
): ArrivedTimeGap[] {
  const arrived: ArrivedTimeGap[] = [];
  for (const [index, { block }] of transaction.blocks.entries()) {
    // A time gap is a text of its block.
    if (block.texts.size === 0) continue;
    const { streamId, firstSequence } = block.header;
    for (const at of block.texts.keys()) {
      const sequence = firstSequence + at;
      if (!isTimeGapAt(block, at) || !isInserted(plan, index, sequence)) continue;
      const raw = timeGapAt(block, at);
      const gap = moveTimeGap(raw, stepAt(offsetsOf(streamId), sequence));
      arrived.push({ streamId, sequence, gap, raw });
    }
  }
  return arrived;
}

/** The block of this index brings a number that was not covered. */
export function isInserted({ inserts }: CommitPlan, index: number, sequence: number): boolean {
  return inserts[index]?.some(({ first, last }) => first <= sequence && sequence <= last) ?? false;
}
