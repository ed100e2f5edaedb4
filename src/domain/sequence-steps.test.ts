import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NO_STEPS, type SequenceSteps, stepAt, stepsWithin, withStep } from './sequence-steps.ts';

const step = fc
  .record({
    first: fc.integer({ min: 1, max: 30 }),
    count: fc.integer({ min: 1, max: 10 }),
    value: fc.nat(2),
  })
  .map(({ first, count, value }) => ({ first, last: first + count - 1, value }));

test('of each number the last step holds, whatever came before', () => {
  fc.assert(
    fc.property(fc.array(step), step, (laid, range) => {
      const expected = new Array<number>(50).fill(0);
      let steps: SequenceSteps = NO_STEPS;
      for (const each of laid) {
        expected.fill(each.value, each.first, each.last + 1);
        steps = withStep(steps, each);
        expect(withStep(steps, each)).toBe(steps);
      }
      expect(expected.map((_, sequence) => stepAt(steps, sequence))).toEqual(expected);
      for (const [at, { first, last, value }] of steps.entries()) {
        const before = steps[at - 1];
        expect(first <= last && value !== 0).toBe(true);
        expect(before === undefined || before.last < first).toBe(true);
        expect(before?.last === first - 1 && before.value === value).toBe(false);
      }
      const within = stepsWithin(steps, range);
      const told = within.flatMap(({ first, last, value }) =>
        new Array<number>(last - first + 1).fill(value),
      );
      expect(told).toEqual(expected.slice(range.first, range.last + 1));
      expect(within[0]?.first).toBe(range.first);
    }),
  );
});
