import { type SequenceRange, subtract } from './coverage.ts';

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

/** By how much the raw times of a range are off, integer µs. */
export interface ClockOffset extends SequenceRange {
  readonly offsetUs: number;
}

/** Of one stream: ascending and disjoint; touching ranges of one offset are merged. */
export type ClockOffsets = readonly ClockOffset[];

export const NO_CLOCK_OFFSETS: ClockOffsets = [];

/** The offsets after a fix. The same object if the fix changes nothing. */
export function withClockFix(offsets: ClockOffsets, fix: ArchivedClockFix): ClockOffsets {
  const range = { first: fix.firstSequence, last: fix.lastSequence };
  const parts = offsets.flatMap((each) =>
    subtract(each, [range]).map((part): ClockOffset => ({ ...part, offsetUs: each.offsetUs })),
  );
  if (fix.offsetUs !== 0) parts.push({ ...range, offsetUs: fix.offsetUs });
  const merged = merge(parts.sort((a, b) => a.first - b.first));
  return sameOffsets(merged, offsets) ? offsets : merged;
}

/** What the raw time of a number is to be moved by, integer µs. */
export function clockOffsetAt(offsets: ClockOffsets, sequence: number): number {
  return offsets.find((each) => each.first <= sequence && sequence <= each.last)?.offsetUs ?? 0;
}

function merge(parts: readonly ClockOffset[]): ClockOffset[] {
  const merged: { first: number; last: number; offsetUs: number }[] = [];
  for (const { first, last, offsetUs } of parts) {
    const before = merged.at(-1);
    if (before !== undefined && before.offsetUs === offsetUs && before.last + 1 === first) before.last = last;
    else merged.push({ first, last, offsetUs });
  }
  return merged;
}

function sameOffsets(a: ClockOffsets, b: ClockOffsets): boolean {
  return (
    a.length === b.length &&
    a.every((each, at) => {
      const other = b[at];
      return other?.first === each.first && other.last === each.last && other.offsetUs === each.offsetUs;
    })
  );
}
