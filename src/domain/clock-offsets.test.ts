import { expect, test } from 'vitest';
import { type ArchivedClockFix, holdingFixes } from './clock-offsets.ts';

const [OLDER, STREAM, LATER] = ['1', '2', '3'].map((digit) => digit.repeat(32)) as [string, string, string];

/** Of numbers of `STREAM`, by an entry. */
function fix(
  [firstSequence, lastSequence]: readonly [number, number],
  by?: readonly [streamId: string, sequence: number, atUs?: number],
): ArchivedClockFix {
  const range = { streamId: STREAM, firstSequence, lastSequence, offsetUs: 7 };
  if (by === undefined) return range;
  const [streamId, sequence, atUs = 0] = by;
  return { ...range, by: { streamId, sequence, atUs } };
}

function held(fixes: readonly ArchivedClockFix[], known: readonly ArchivedClockFix[]): number[][] {
  const holding = holdingFixes(fixes, (streamId) => (streamId === STREAM ? known : []));
  return holding.map(({ firstSequence, lastSequence }) => [firstSequence, lastSequence]);
}

test('of two fixes of one number the one made later holds, whichever came first', () => {
  const early = fix([1, 9], [STREAM, 10]);
  const late = fix([4, 5], [STREAM, 20]);
  expect(held([early], [late])).toEqual([
    [1, 3],
    [6, 9],
  ]);
  expect(held([late], [early])).toEqual([[4, 5]]);
  expect(held([late, early], [])).toEqual([
    [4, 5],
    [1, 3],
    [6, 9],
  ]);
  expect(held([early], [fix([1, 30], [STREAM, 31])])).toEqual([]);
  expect(held([early], [early]), 'the same again').toEqual([[1, 9]]);
});

test('what a later stream says of an earlier one was made later; of two others the clock tells', () => {
  const own = fix([1, 9], [STREAM, 1000, 99]);
  const other = fix([3, 9], [LATER, 1, 5]);
  expect(held([own], [other])).toEqual([[1, 2]]);
  expect(held([other], [own])).toEqual([[3, 9]]);
  const another = fix([1, 4], [OLDER, 1, 6]);
  expect(held([other], [another])).toEqual([[5, 9]]);
  expect(held([another], [other])).toEqual([[1, 4]]);
});

test('a fix of which the entry is not known holds when it comes', () => {
  const late = fix([1, 9], [STREAM, 20]);
  expect(held([fix([2, 3])], [late])).toEqual([[2, 3]]);
  expect(held([late], [fix([2, 3])])).toEqual([[1, 9]]);
});
