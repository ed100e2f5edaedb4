/** Why a range of sequence numbers is not in the archive. */
export const SEQUENCE_GAP_REASONS = [
  'evicted',
  'crash',
  'corrupt',
  'refused',
  'rejected',
  'dropped',
  'store-lost',
  'kernel-regressed',
] as const;
export type SequenceGapReason = (typeof SEQUENCE_GAP_REASONS)[number];

/** The last sequence of a gap whose end nobody knows: after a crash the stream may have run on. */
export const OPEN_END = Number.MAX_SAFE_INTEGER;

/** A range of a stream that was numbered and is lost. Only the store that made the stream declares it. */
export interface SequenceGap {
  readonly streamId: string;
  readonly firstSequence: number;
  /** Inclusive; `OPEN_END` where nobody knows how far the stream ran. */
  readonly lastSequence: number;
  readonly reason: SequenceGapReason;
  /** Time span of what was lost, integer µs. */
  readonly fromUs: number;
  readonly toUs: number;
  /** How many samples were lost, or at most how many where the end is open. */
  readonly countAtMost: number;
}
