import { expect, it } from 'vitest';
import { remainingGap } from './commit-plan.ts';
import { knownCount, OPEN_END, type SequenceGap } from './gap.ts';

it('of a loss that nobody can count nobody knows how much is left when some of it comes', () => {
  const lost: SequenceGap = {
    ...{ streamId: 'a'.repeat(32), firstSequence: 1, lastSequence: OPEN_END, reason: 'store-lost' },
    ...{ fromUs: 1, toUs: 2, countAtMost: OPEN_END },
  };
  const counts = (gap: SequenceGap): (number | null)[] =>
    remainingGap(gap, [{ first: 11, last: 400, state: 'data' }]).map((part) => knownCount(part.countAtMost));
  expect(counts(lost)).toEqual([10, null]);
  expect(counts({ ...lost, countAtMost: 500 })).toEqual([10, 100]);
});
