import { expect, test } from 'vitest';
import { afterSequence, missingSequences, sequenceBefore } from './sequence.ts';

const MAX = 0xffff_ffff;

test('sequence numbers wrap from their maximum to 1', () => {
  expect(afterSequence(1)).toBe(2);
  expect(afterSequence(MAX)).toBe(1);
  expect(sequenceBefore(5, 2)).toBe(3);
  expect(sequenceBefore(1, 1)).toBe(MAX);
  expect(sequenceBefore(2, 3)).toBe(MAX - 1);
});

test.each([
  [1, 1, 0],
  [1, 3, 2],
  [5, 4, 0],
  [MAX, 1, 1],
  [MAX - 1, 2, 3],
  [1, MAX, 0],
])('expected %i, came %i: %i missing', (expected, came, missing) => {
  expect(missingSequences(expected, came)).toBe(missing);
});
