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

/** What a Kernel concludes of a stream whose store does not tell; what the store tells is more exact. */
export const CONCLUDED_REASONS: ReadonlySet<string> = new Set<SequenceGapReason>(['crash', 'store-lost']);

/** The last sequence of a gap whose end nobody knows: after a crash the stream may have run on. */
export const OPEN_END = Number.MAX_SAFE_INTEGER;

/**
 * A range of a stream that was numbered and is lost. Only the store that made the stream declares it, or a
 * Kernel in its place, for a reason of `CONCLUDED_REASONS`.
 */
export interface SequenceGap {
  readonly streamId: string;
  readonly firstSequence: number;
  /** Inclusive; `OPEN_END` where nobody knows how far the stream ran. */
  readonly lastSequence: number;
  readonly reason: SequenceGapReason;
  /** Time span of what was lost, integer µs. */
  readonly fromUs: number;
  readonly toUs: number;
  /** How many samples were lost, or at most how many where the end is open; `OPEN_END` where nobody knows. */
  readonly countAtMost: number;
}

/** A run of numbers with the times of what it has, integer µs, as the header of a block tells them. */
export interface NumberedSpan {
  readonly streamId: string;
  readonly firstSequence: number;
  readonly count: number;
  readonly fromUs: number;
  readonly toUs: number;
}

/** The record of numbers that are lost as a whole, such as those of a block. */
export function gapOfSpan(
  { streamId, firstSequence, count, fromUs, toUs }: NumberedSpan,
  reason: SequenceGapReason,
): SequenceGap {
  const lastSequence = firstSequence + count - 1;
  return { streamId, firstSequence, lastSequence, reason, fromUs, toUs, countAtMost: count };
}

/** Samples lost by reason, as counts of gaps are: `OPEN_END` where nobody knows how many. */
export type LostByReason = Readonly<Partial<Record<SequenceGapReason, number>>>;

/** The same for somebody outside: `null` where nobody knows how many. */
export type KnownLosses = Readonly<Partial<Record<SequenceGapReason, number | null>>>;

/** No stream gets so far. A larger count is that of an end that nobody knows, less what was cut off it. */
const COUNT_MAX = 2 ** 52;

/** A count of lost samples, or a sum of such counts; `null` where nobody knows how many they were. */
export function knownCount(countAtMost: number): number | null {
  return countAtMost >= COUNT_MAX ? null : countAtMost;
}

/** A count without some that were not lost; one that nobody knows stays so. */
export function countWithout(countAtMost: number, found: number): number {
  return knownCount(countAtMost) === null ? OPEN_END : Math.max(0, countAtMost - found);
}

/** Such counts by reason. */
export function knownCounts(lost: LostByReason): KnownLosses {
  return Object.fromEntries(Object.entries(lost).map(([reason, count]) => [reason, knownCount(count)]));
}

/** A sequence, or `null` for an end that nobody knows. */
export function knownEnd(sequence: number): number | null {
  return sequence >= OPEN_END ? null : sequence;
}

/** The sum of two such counts; one that nobody knows makes a sum that nobody knows. */
export function sumOfCounts(a: number, b: number): number {
  return Math.min(OPEN_END, a + b);
}

/** What of a lost range lies on either side of numbers that are there after all. */
export interface GapAround {
  readonly before: SequenceGap | null;
  readonly behind: SequenceGap | null;
}

/** Splits a lost range with an end at numbers that were found; the times of their edges bound the parts. */
export function gapAround(
  gap: SequenceGap,
  found: {
    readonly firstSequence: number;
    readonly lastSequence: number;
    readonly startUs: number;
    readonly endUs: number;
  },
): GapAround {
  const within = (timeUs: number): number => Math.min(Math.max(timeUs, gap.fromUs), gap.toUs);
  const part = (firstSequence: number, lastSequence: number, span: { fromUs: number; toUs: number }) => {
    const countAtMost = lastSequence - firstSequence + 1;
    return countAtMost <= 0 ? null : { ...gap, ...span, firstSequence, lastSequence, countAtMost };
  };
  const { fromUs, toUs, firstSequence, lastSequence } = gap;
  const beforeLast = Math.min(found.firstSequence - 1, lastSequence);
  const behindFirst = Math.max(found.lastSequence + 1, firstSequence);
  return {
    before: part(firstSequence, beforeLast, { fromUs, toUs: within(found.startUs) }),
    behind: part(behindFirst, lastSequence, { fromUs: within(found.endUs), toUs }),
  };
}
