import { invariant } from './errors.ts';
import { CONCLUDED_REASONS, type SequenceGapReason } from './gap.ts';
import { FIRST_SEQUENCE } from './stream.ts';

/** An inclusive range of sequence numbers. */
export interface SequenceRange {
  readonly first: number;
  readonly last: number;
}

/** `data`, or why it is not. */
export type CoverageState = 'data' | SequenceGapReason;

/** One range of a stream's coverage. */
export interface CoverageRange extends SequenceRange {
  readonly state: CoverageState;
}

/** Ascending and disjoint; touching ranges of one state are merged. */
export type Coverage = readonly CoverageRange[];

export const EMPTY_COVERAGE: Coverage = [];

/** The ranges that are data. */
export function dataOf(coverage: Coverage): CoverageRange[] {
  return coverage.filter(({ state }) => state === 'data');
}

/** What a change did: the new coverage, and the ranges that changed their state (the samples to insert). */
export interface CoverageChange {
  readonly coverage: Coverage;
  readonly changed: readonly SequenceRange[];
}

/** Marks a range as data. Data is never replaced; data replaces gaps. */
export function coverWithData(coverage: Coverage, range: SequenceRange): CoverageChange {
  return cover(coverage, { ...range, state: 'data' }, (state) => state !== 'data');
}

/**
 * Declares a range lost. A gap fills only numbers that nothing covers, or of which a Kernel had only
 * concluded that they are lost.
 */
export function coverWithGap(
  coverage: Coverage,
  range: SequenceRange,
  reason: SequenceGapReason,
): CoverageChange {
  return cover(coverage, { ...range, state: reason }, (state) => isMoreExact(reason, state));
}

/** What is known of numbers replaces what was concluded of them. */
export function isMoreExact(state: CoverageState, than: CoverageState): boolean {
  return CONCLUDED_REASONS.has(than) && !CONCLUDED_REASONS.has(state);
}

/** The numbers of `range` that nothing covers, ascending. */
export function uncovered(coverage: Coverage, range: SequenceRange): SequenceRange[] {
  return subtract(range, coverage);
}

/** The numbers of `range` that are not data, ascending. */
export function notData(coverage: Coverage, range: SequenceRange): SequenceRange[] {
  return subtract(
    range,
    coverage.filter((each) => each.state === 'data'),
  );
}

/** The last number such that everything from the first sequence up to it is covered; 0 if nothing is. */
export function contiguousEnd(coverage: Coverage): number {
  let end = FIRST_SEQUENCE - 1;
  for (const range of coverage) {
    if (range.first > end + 1) break;
    end = range.last;
  }
  return end;
}

/** Ranges beyond the contiguous end: held, but something before them is missing. */
export function heldBeyond(coverage: Coverage): SequenceRange[] {
  const end = contiguousEnd(coverage);
  return joinTouching(coverage.filter((range) => range.first > end + 1));
}

/** Drops the state and joins what touches. */
export function joinTouching(ranges: readonly SequenceRange[]): SequenceRange[] {
  const joined: { first: number; last: number }[] = [];
  for (const { first, last } of ranges) {
    const before = joined.at(-1);
    if (before !== undefined && first <= before.last + 1) before.last = Math.max(before.last, last);
    else joined.push({ first, last });
  }
  return joined;
}

/** The parts of `range` that are in none of `holes` (ascending, disjoint). */
export function subtract(range: SequenceRange, holes: readonly SequenceRange[]): SequenceRange[] {
  const rest: SequenceRange[] = [];
  let first = range.first;
  for (const hole of holes) {
    if (hole.last < first) continue;
    if (hole.first > range.last) break;
    if (hole.first > first) rest.push({ first, last: hole.first - 1 });
    first = hole.last + 1;
  }
  if (first <= range.last) rest.push({ first, last: range.last });
  return rest;
}

/**
 * The parts of ascending, disjoint `ranges` that are in none of `holes` (ascending): in one pass over both,
 * as a coverage may have ten thousand of them.
 */
export function subtractAll<T extends SequenceRange>(
  ranges: readonly T[],
  holes: readonly SequenceRange[],
): T[] {
  const rest: T[] = [];
  let behind = 0;
  for (const range of ranges) {
    let { first } = range;
    while ((holes[behind]?.last ?? first) < first) behind++;
    for (let at = behind; first <= range.last; at++) {
      const hole = holes[at];
      if (hole === undefined || hole.first > range.last) break;
      if (hole.first > first) rest.push({ ...range, first, last: hole.first - 1 });
      first = Math.max(first, hole.last + 1);
    }
    if (first <= range.last) rest.push({ ...range, first });
  }
  return rest;
}

/** The parts of ascending, disjoint `ranges` that are in one of `others` (ascending). */
export function withinAll<T extends SequenceRange>(
  ranges: readonly T[],
  others: readonly SequenceRange[],
): T[] {
  return subtractAll(ranges, subtractAll(ranges, others));
}

/** The parts of `range` that are in one of `others` (ascending, disjoint). */
export function within(range: SequenceRange, others: readonly SequenceRange[]): SequenceRange[] {
  return subtract(range, subtract(range, others));
}

/** How many numbers the ranges hold. */
export function countOf(ranges: readonly SequenceRange[]): number {
  return ranges.reduce((count, { first, last }) => count + (last - first + 1), 0);
}

function cover(
  coverage: Coverage,
  range: CoverageRange,
  replaces: (state: CoverageState) => boolean,
): CoverageChange {
  invariant(range.first >= FIRST_SEQUENCE && range.first <= range.last, 'a range is not empty');
  const changed = subtract(
    range,
    coverage.filter((each) => !replaces(each.state)),
  );
  if (changed.length === 0) return { coverage, changed };
  const kept = coverage.flatMap((each) =>
    subtract(each, changed).map((part): CoverageRange => ({ ...part, state: each.state })),
  );
  const added = changed.map((part): CoverageRange => ({ ...part, state: range.state }));
  return { coverage: normalize([...kept, ...added]), changed };
}

function normalize(ranges: CoverageRange[]): Coverage {
  ranges.sort((a, b) => a.first - b.first);
  const merged: { first: number; last: number; state: CoverageState }[] = [];
  for (const { first, last, state } of ranges) {
    const before = merged.at(-1);
    if (before !== undefined && before.state === state && before.last + 1 === first) before.last = last;
    else merged.push({ first, last, state });
  }
  return merged;
}
