import { type Coverage, type CoverageRange, type SequenceRange, subtract } from './coverage.ts';
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
  const theirData = theirs.filter(({ state }) => state === 'data');
  const certain = theirs.filter(({ state }) => !CONCLUDED_REASONS.has(state));
  const data: SequenceRange[] = [];
  const unknown: SequenceRange[] = [];
  const gaps: CoverageRange[] = [];
  for (const range of mine) {
    if (range.state === 'data') {
      data.push(...subtract(range, theirData));
      unknown.push(...subtract(range, certain));
      continue;
    }
    // What is known replaces what was concluded; a conclusion replaces nothing.
    const better = CONCLUDED_REASONS.has(range.state) ? theirs : certain;
    gaps.push(...subtract(range, better).map((part) => ({ ...part, state: range.state })));
  }
  return { data, unknown, gaps };
}

/** Everything of a stream that one archive knows the other one knows as well, or knows to be lost. */
export function knowsAllOf(theirs: Coverage, mine: Coverage): boolean {
  const { unknown, gaps } = coverageDifference(mine, theirs);
  return unknown.length === 0 && gaps.length === 0;
}

/** The part of a coverage that another archive has as well. */
export function sharedCoverage(mine: Coverage, theirs: Coverage): Coverage {
  const { unknown, gaps } = coverageDifference(mine, theirs);
  const lacking = [...unknown, ...gaps].sort((one, other) => one.first - other.first);
  return mine.flatMap((range) => subtract(range, lacking).map((part) => ({ ...part, state: range.state })));
}
