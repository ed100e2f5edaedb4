import type { ArchivedClockFix } from './clock-offsets.ts';
import { CONCLUDED_REASONS, type SequenceGap } from './gap.ts';
import { type SequenceSteps, stepAt } from './sequence-steps.ts';
import { FIRST_SEQUENCE, type StreamInfo } from './stream.ts';

/** When a stream started, integer µs, as it was taken for until a clock fix, and as that has it. */
export interface MovedStart {
  readonly beforeUs: number;
  readonly afterUs: number;
}

/**
 * What a fix says of the start of its stream, which was stamped as the first numbers were; `null`: nothing
 * new. `offsets` are those of the fixes before.
 */
export function movedStart(
  { startedAtUs }: Pick<StreamInfo, 'startedAtUs'>,
  offsets: SequenceSteps,
  { firstSequence, offsetUs }: ArchivedClockFix,
): MovedStart | null {
  const known = stepAt(offsets, FIRST_SEQUENCE);
  if (firstSequence > FIRST_SEQUENCE || known === offsetUs) return null;
  return { beforeUs: startedAtUs + known, afterUs: startedAtUs + offsetUs };
}

/**
 * What a Kernel concluded of an earlier stream of the same instance, where it ends at the start that moved:
 * nothing was observed until the stream really started.
 */
export function endedAtStart(gap: SequenceGap, { beforeUs, afterUs }: MovedStart): SequenceGap {
  if (gap.toUs !== beforeUs || !CONCLUDED_REASONS.has(gap.reason)) return gap;
  return { ...gap, toUs: Math.max(gap.fromUs, afterUs) };
}
