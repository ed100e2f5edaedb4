import { expect, it } from 'vitest';
import { gapAround, type SequenceGap } from './gap.ts';

const GAP: SequenceGap = {
  ...{ streamId: 'a'.repeat(32), reason: 'kernel-regressed', firstSequence: 10, lastSequence: 20 },
  ...{ fromUs: 1000, toUs: 2000, countAtMost: 11 },
};

it.each([
  ['in the middle', [13, 4, 1300, 1600], [10, 12, 1000, 1300, 3], [17, 20, 1600, 2000, 4]],
  ['at the start, and before it', [5, 8, 500, 1200], null, [13, 20, 1200, 2000, 8]],
  ['at the end, and behind it', [18, 9, 1800, 2600], [10, 17, 1000, 1800, 8], null],
  ['behind it', [21, 5, 1900, 2600], [10, 20, 1000, 1900, 11], null],
  ['all of it', [10, 11, 1000, 2000], null, null],
  ['times of another clock', [13, 4, 5000, 400], [10, 12, 1000, 2000, 3], [17, 20, 1000, 2000, 4]],
])('a lost range around samples that are there: %s', (_, found, before, behind) => {
  const [firstSequence = 0, count = 0, startUs = 0, endUs = 0] = found;
  const shown = (gap: SequenceGap | null) =>
    gap && [gap.firstSequence, gap.lastSequence, gap.fromUs, gap.toUs, gap.countAtMost];
  const lastSequence = firstSequence + count - 1;
  const around = gapAround(GAP, { firstSequence, lastSequence, startUs, endUs });
  expect([shown(around.before), shown(around.behind)]).toEqual([before, behind]);
});
