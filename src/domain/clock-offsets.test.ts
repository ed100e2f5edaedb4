import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ClockOffsets, clockOffsetAt, NO_CLOCK_OFFSETS, withClockFix } from './clock-offsets.ts';

const fix = fc
  .record({
    first: fc.integer({ min: 1, max: 30 }),
    count: fc.integer({ min: 1, max: 10 }),
    offset: fc.nat(2),
  })
  .map(({ first, count, offset }) => ({
    ...{ streamId: 's', firstSequence: first, lastSequence: first + count - 1, offsetUs: offset },
  }));

test('of each number the last fix holds, whatever came before', () => {
  fc.assert(
    fc.property(fc.array(fix), (fixes) => {
      const expected = new Array<number>(50).fill(0);
      let offsets: ClockOffsets = NO_CLOCK_OFFSETS;
      for (const each of fixes) {
        expected.fill(each.offsetUs, each.firstSequence, each.lastSequence + 1);
        offsets = withClockFix(offsets, each);
        expect(withClockFix(offsets, each)).toBe(offsets);
      }
      expect(expected.map((_, sequence) => clockOffsetAt(offsets, sequence))).toEqual(expected);
      for (const [at, { first, last, offsetUs }] of offsets.entries()) {
        const before = offsets[at - 1];
        expect(first <= last && offsetUs !== 0).toBe(true);
        expect(before === undefined || before.last < first).toBe(true);
        expect(before?.last === first - 1 && before.offsetUs === offsetUs).toBe(false);
      }
    }),
  );
});
