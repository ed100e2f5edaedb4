import { expect, test } from 'vitest';
import { comparedRuns } from './rival-plan.ts';

test('pieces are compared together up to a number of rows, with the rows between them', () => {
  const piece = (number: number, rows: number, isCompared = true) => ({ piece: number, rows, isCompared });
  const between = piece(3, 80, false);
  expect(comparedRuns([piece(1, 10), piece(2, 10), between, piece(9, 5)], 100)).toEqual([[1, 2], [9]]);
  expect(comparedRuns([piece(1, 10), piece(2, 10), between, piece(9, 5)], 105)).toEqual([[1, 2, 9]]);
  expect(comparedRuns([between, piece(4, 300), piece(5, 99), piece(6, 1), piece(7, 1)], 100)).toEqual([
    [4],
    [5, 6],
    [7],
  ]);
  expect(comparedRuns([between], 100)).toEqual([]);
});
