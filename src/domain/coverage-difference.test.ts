import { describe, expect, it } from 'vitest';
import type { Coverage, CoverageState } from './coverage.ts';
import { coverageDifference, knowsAllOf, sharedCoverage } from './coverage-difference.ts';

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
