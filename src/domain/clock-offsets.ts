import type { SequenceStep } from './sequence-steps.ts';

/**
 * A correction of the times of a range of a stream: corrected time = raw time + `offsetUs`. Of two fixes of
 * one number, the one that came later holds.
 */
export interface ArchivedClockFix {
  readonly streamId: string;
  readonly firstSequence: number;
  /** Inclusive. */
  readonly lastSequence: number;
  /** Integer µs; 0 takes an earlier correction back. */
  readonly offsetUs: number;
}

/** What a fix says of the numbers of its stream: by how much their raw times are off. */
export function clockStep({ firstSequence, lastSequence, offsetUs }: ArchivedClockFix): SequenceStep {
  return { first: firstSequence, last: lastSequence, value: offsetUs };
}
