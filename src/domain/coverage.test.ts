import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Coverage,
  type CoverageState,
  contiguousEnd,
  countOf,
  coverWithData,
  coverWithGap,
  EMPTY_COVERAGE,
  heldBeyond,
  notData,
  type SequenceRange,
  subtract,
  subtractAll,
  uncovered,
  within,
  withinAll,
} from './coverage.ts';

const action = fc.record({
  first: fc.integer({ min: 1, max: 60 }),
  length: fc.integer({ min: 1, max: 15 }),
  state: fc.constantFrom<CoverageState>('data', 'evicted', 'crash', 'store-lost'),
});

/** A state replaces what stands below it. */
const RANKS: readonly (readonly (CoverageState | undefined)[])[] = [
  [undefined],
  ['crash', 'store-lost'],
  ['evicted'],
  ['data'],
];
const rankOf = (state: CoverageState | undefined) => RANKS.findIndex((states) => states.includes(state));

/** The same rules, number by number. */
function modelOf(actions: readonly { first: number; length: number; state: CoverageState }[]) {
  const model = new Map<number, CoverageState>();
  const changes: number[][] = [];
  for (const { first, length, state } of actions) {
    const changed: number[] = [];
    for (let number = first; number < first + length; number++) {
      if (rankOf(model.get(number)) >= rankOf(state)) continue;
      model.set(number, state);
      changed.push(number);
    }
    changes.push(changed);
  }
  return { model, changes };
}

describe('coverage', () => {
  it('is the same as a map from number to state', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 25 }), (actions) => {
        let coverage: Coverage = EMPTY_COVERAGE;
        const { model, changes } = modelOf(actions);
        for (const [at, { first, length, state }] of actions.entries()) {
          const range = { first, last: first + length - 1 };
          const change =
            state === 'data' ? coverWithData(coverage, range) : coverWithGap(coverage, range, state);
          expect(
            change.changed.flatMap((part) =>
              Array.from({ length: part.last - part.first + 1 }, (_, step) => part.first + step),
            ),
          ).toEqual(changes[at]);
          coverage = change.coverage;
        }
        for (let number = 1; number < 80; number++) {
          const range = coverage.find((each) => each.first <= number && number <= each.last);
          expect(range?.state).toBe(model.get(number));
        }
        for (const [at, range] of coverage.entries()) {
          const next = coverage[at + 1];
          if (next === undefined) continue;
          expect(next.first).toBeGreaterThan(range.last);
          expect(next.first === range.last + 1 && next.state === range.state).toBe(false);
        }
        expect(countOf(coverage)).toBe(model.size);
        let end = 0;
        while (model.has(end + 1)) end++;
        expect(contiguousEnd(coverage)).toBe(end);
        expect(countOf(heldBeyond(coverage))).toBe(model.size - end);
        const whole = { first: 1, last: 100 };
        expect(countOf(uncovered(coverage, whole))).toBe(100 - model.size);
        expect(countOf(notData(coverage, whole))).toBe(
          100 - [...model.values()].filter((state) => state === 'data').length,
        );
      }),
      { numRuns: 500 },
    );
  });
});

/** Ascending by their first number; they may overlap where `isDisjoint` does not forbid it. */
const rangesOf = (isDisjoint: boolean) =>
  fc
    .array(fc.record({ step: fc.integer({ min: 0, max: 6 }), length: fc.integer({ min: 1, max: 9 }) }), {
      maxLength: 10,
    })
    .map((parts): SequenceRange[] => {
      let first = 1;
      return parts.map(({ step, length }) => {
        const range = { first: first + step, last: first + step + length - 1 };
        first = isDisjoint ? range.last + 1 : range.first;
        return range;
      });
    });

it('one pass over ranges and holes comes to what each range by itself comes to', () => {
  fc.assert(
    fc.property(rangesOf(true), rangesOf(false), rangesOf(true), (ranges, holes, others) => {
      const named = ranges.map((range, of) => ({ ...range, of }));
      const each = (cut: (range: SequenceRange) => SequenceRange[]) =>
        named.flatMap(({ of, ...range }) => cut(range).map((part) => ({ ...part, of })));
      expect(subtractAll(named, holes)).toEqual(each((range) => subtract(range, holes)));
      expect(withinAll(named, others)).toEqual(each((range) => within(range, others)));
    }),
    { numRuns: 1000 },
  );
});
