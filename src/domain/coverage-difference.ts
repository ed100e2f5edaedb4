import { type Coverage, type CoverageRange, dataOf, type SequenceRange, subtractAll } from './coverage.ts';
import { CONCLUDED_REASONS } from './gap.ts';

/** What one archive has of a stream and another lacks. */
export interface CoverageDifference {
  /** Data that is not data there. */
  readonly data: readonly SequenceRange[];
  /** Of these, numbers of which the other one knows nothing for certain. */
  readonly unknown: readonly SequenceRange[];
  /** Gaps of which the other one knows less. */
  readonly gaps: readonly CoverageRange[];
}

/** What has to be given to an archive so that it knows as much of a stream. */
export function coverageDifference(mine: Coverage, theirs: Coverage): CoverageDifference {
  const data = dataOf(mine).map(({ first, last }): SequenceRange => ({ first, last }));
  const certain = theirs.filter(({ state }) => !CONCLUDED_REASONS.has(state));
  const lost = mine.filter(({ state }) => state !== 'data');
  // What is known replaces what was concluded; a conclusion replaces nothing.
  const concluded = lost.filter(({ state }) => CONCLUDED_REASONS.has(state));
  const declared = lost.filter(({ state }) => !CONCLUDED_REASONS.has(state));
  return {
    data: subtractAll(data, dataOf(theirs)),
    unknown: subtractAll(data, certain),
    gaps: [...subtractAll(concluded, theirs), ...subtractAll(declared, certain)].sort(byFirst),
  };
}

/** Everything of a stream that one archive knows the other one knows as well, or knows to be lost. */
export function knowsAllOf(theirs: Coverage, mine: Coverage): boolean {
  const { unknown, gaps } = coverageDifference(mine, theirs);
  return unknown.length === 0 && gaps.length === 0;
}

/** The part of a coverage that another archive has as well. */
export function sharedCoverage(mine: Coverage, theirs: Coverage): Coverage {
  const { unknown, gaps } = coverageDifference(mine, theirs);
  return subtractAll(mine, [...unknown, ...gaps].sort(byFirst));
}

function byFirst(one: SequenceRange, other: SequenceRange): number {
  return one.first - other.first;
}
