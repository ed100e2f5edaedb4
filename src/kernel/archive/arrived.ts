import { clockFixAt, isClockFixAt, isTimeGapAt, timeGapAt } from '../../domain/block/codec.ts';
import type { ClockFix } from '../../domain/clock-fix.ts';
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

/** A clock fix that a transaction brings. */
export interface ArrivedClockFix {
  readonly streamId: string;
  readonly sequence: number;
  readonly fix: ClockFix;
}

/** The entries of clock fixes in a transaction that are new, whether they hold or not. */
export function arrivedClockFixes({ blocks }: ArchiveTransaction, plan: CommitPlan): ArrivedClockFix[] {
  return blocks.flatMap(({ block }, index) => {
    const { streamId, firstSequence } = block.header;
    const places = [...block.texts.keys()].filter((at) => isClockFixAt(block, at));
    return places
      .filter((at) => isInserted(plan, index, firstSequence + at))
      .map((at) => ({ streamId, sequence: firstSequence + at, fix: clockFixAt(block, at) }));
  });
}

/** The block of this index brings a number that was not covered. */
export function isInserted({ inserts }: CommitPlan, index: number, sequence: number): boolean {
  return inserts[index]?.some(({ first, last }) => first <= sequence && sequence <= last) ?? false;
}
