import { expect, test } from 'vitest';
import { gapOf, STREAM, T0 } from '../world/archive.fixture.ts';
import { endedAtStart, movedStart } from './moved-start.ts';

const fixOf = (firstSequence: number, offsetUs: number) => ({
  ...{ streamId: STREAM, firstSequence, lastSequence: 100, offsetUs },
});

test('only a fix of the first number moves the start, and only if it says something new', () => {
  const stream = { startedAtUs: T0 };
  const known = [{ first: 1, last: 5, value: 30 }];
  expect(movedStart(stream, [], fixOf(1, 70))).toEqual({ beforeUs: T0, afterUs: T0 + 70 });
  expect(movedStart(stream, known, fixOf(1, 70))).toEqual({ beforeUs: T0 + 30, afterUs: T0 + 70 });
  expect(movedStart(stream, known, fixOf(1, 30))).toBeNull();
  expect(movedStart(stream, known, fixOf(2, 70))).toBeNull();
});

test('what was concluded, and ends at that start, ends where it moved to, never before its begin', () => {
  const moved = { beforeUs: T0 + 1000, afterUs: T0 + 5000 };
  const crash = gapOf(5, 9, { reason: 'crash' });
  expect(endedAtStart(crash, moved)).toEqual({ ...crash, toUs: T0 + 5000 });
  expect(endedAtStart(crash, { ...moved, afterUs: T0 - 9 })).toEqual({ ...crash, toUs: crash.fromUs });
  expect(endedAtStart({ ...crash, toUs: T0 + 7 }, moved).toUs).toBe(T0 + 7);
  const told = gapOf(5, 9, { reason: 'evicted' });
  expect(endedAtStart(told, moved)).toBe(told);
});
