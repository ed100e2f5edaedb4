import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Coverage, type CoverageState, dataOf, subtract } from './coverage.ts';
import { coverageDifference, knowsAllOf, sharedCoverage } from './coverage-difference.ts';
import { CONCLUDED_REASONS } from './gap.ts';

const of = (...ranges: [number, number, CoverageState][]): Coverage =>
  ranges.map(([first, last, state]) => ({ first, last, state }));

describe('what another archive lacks', () => {
  const mine = of([1, 10, 'data'], [11, 12, 'evicted'], [13, 20, 'data'], [21, 30, 'crash']);

  it('is everything of a stream that it does not know', () => {
    expect(coverageDifference(mine, [])).toEqual({
      data: [
        { first: 1, last: 10 },
        { first: 13, last: 20 },
      ],
      unknown: [
        { first: 1, last: 10 },
        { first: 13, last: 20 },
      ],
      gaps: of([11, 12, 'evicted'], [21, 30, 'crash']),
    });
    expect(knowsAllOf([], mine)).toBe(false);
    expect(sharedCoverage(mine, [])).toEqual([]);
  });

  it('is data where it has a gap, which is known all the same if it was declared', () => {
    const theirs = of([1, 4, 'data'], [5, 12, 'evicted'], [13, 20, 'data'], [21, 30, 'store-lost']);
    expect(coverageDifference(mine, theirs)).toEqual({
      data: [{ first: 5, last: 10 }],
      unknown: [],
      gaps: [],
    });
    expect(knowsAllOf(theirs, mine)).toBe(true);
    expect(sharedCoverage(mine, theirs)).toEqual(mine);
  });

  it('is not settled by what was only concluded', () => {
    const theirs = of([1, 10, 'data'], [11, 30, 'crash']);
    expect(coverageDifference(mine, theirs)).toEqual({
      data: [{ first: 13, last: 20 }],
      unknown: [{ first: 13, last: 20 }],
      gaps: of([11, 12, 'evicted']),
    });
    expect(sharedCoverage(mine, theirs)).toEqual(of([1, 10, 'data'], [21, 30, 'crash']));
  });
});

/** Range by range: what the one pass over both has to come to. */
function differenceByRange(mine: Coverage, theirs: Coverage) {
  const certain = theirs.filter(({ state }) => !CONCLUDED_REASONS.has(state));
  const better = (state: CoverageState) => (CONCLUDED_REASONS.has(state) ? theirs : certain);
  const data = dataOf(mine);
  return {
    data: data.flatMap((range) => subtract(range, dataOf(theirs))),
    unknown: data.flatMap((range) => subtract(range, certain)),
    gaps: mine
      .filter(({ state }) => state !== 'data')
      .flatMap(({ state, ...range }) => subtract(range, better(state)).map((part) => ({ ...part, state }))),
  };
}

const coverages = fc
  .array(
    fc.record({
      hole: fc.integer({ min: 0, max: 3 }),
      length: fc.integer({ min: 1, max: 4 }),
      state: fc.constantFrom<CoverageState>('data', 'evicted', 'rejected', 'crash', 'store-lost'),
    }),
    { maxLength: 12 },
  )
  .map((parts): Coverage => {
    let last = 0;
    return parts.map(({ hole, length, state }) => {
      const first = last + hole + 1;
      last = first + length - 1;
      return { first, last, state };
    });
  });

it('the difference is the same in one pass as range by range', () => {
  fc.assert(
    fc.property(coverages, coverages, (mine, theirs) => {
      const wanted = differenceByRange(mine, theirs);
      expect(coverageDifference(mine, theirs)).toEqual(wanted);
      const lacking = [...wanted.unknown, ...wanted.gaps].sort((one, other) => one.first - other.first);
      const shared = mine.flatMap((range) =>
        subtract(range, lacking).map((part) => ({ ...part, state: range.state })),
      );
      expect(sharedCoverage(mine, theirs)).toEqual(shared);
    }),
    { numRuns: 2000 },
  );
});
