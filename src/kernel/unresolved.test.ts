import { expect, it } from 'vitest';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SettledNumbers, unresolvedRanges } from './unresolved.ts';

const STREAM = {
  ...{ streamId: 'a', bootId: 'b', startedAtUs: 1, previous: null, held: [], heldFromUs: 0 },
  ...{ endedAtUs: null, running: true },
};

it('numbers that nobody has are unresolved, whatever order the others come in', () => {
  const held = [
    { first: 5, last: 6 },
    { first: 12, last: 40 },
  ];
  const coverage = [
    { first: 1, last: 3, state: 'data' as const },
    { first: 6, last: 7, state: 'evicted' as const },
  ];
  expect(unresolvedRanges(20, { held, coverage })).toEqual([
    { first: 4, last: 4 },
    { first: 8, last: 11 },
  ]);
  expect(unresolvedRanges(3, { held, coverage })).toEqual([]);
  expect(unresolvedRanges(0, { held: [], coverage: [] })).toEqual([]);
});

it('a number counts only some time after it was given', async () => {
  const clock = new SimulatedClock();
  const settled = new SettledNumbers(clock);
  let producedTo = 0;
  clock.repeat('heartbeat', 500, () => settled.note([{ ...STREAM, producedTo: ++producedTo }]));
  await clock.advance(14_000);
  expect(settled.through('a')).toBe(0);
  await clock.advance(46_000);
  expect(settled.through('a')).toBeLessThanOrEqual(120 - 30);
  expect(settled.through('a')).toBeGreaterThan(120 - 62);
  expect(settled.through('other')).toBe(0);
});
