import { expect, it } from 'vitest';
import { keptLines } from './log.fixture.ts';
import { LONG_CONDITION_MS, RecurringLog } from './recurring-log.ts';
import { SimulatedClock } from './simulated/clock.ts';

it('a condition is said when it begins, and then each minute with how many lines were left out', async () => {
  const [clock, { lines, log }] = [new SimulatedClock(), keptLines()];
  const recurring = new RecurringLog({ clock, log });
  for (let second = 0; second < 130; second++) {
    recurring.say('warn', 'one', { second }, 'it is so');
    if (second === 10) recurring.say('error', 'other', {}, 'something else');
    await clock.advance(1000);
  }
  expect(lines).toEqual([
    ['warn', 'it is so', { second: 0 }],
    ['error', 'something else', {}],
    ['warn', 'it is so', { second: 60, suppressed: 59 }],
    ['warn', 'it is so', { second: 120, suppressed: 59 }],
  ]);
});

it('what is over begins anew', () => {
  const [clock, { lines, log }] = [new SimulatedClock(), keptLines()];
  const recurring = new RecurringLog({ clock, log, everyMs: LONG_CONDITION_MS });
  for (let at = 0; at < 3; at++) {
    recurring.say('info', 'one', { at }, 'it is so');
    recurring.say('info', 'one', { at }, 'it is so');
    recurring.over();
  }
  expect(lines.map(([, , fields]) => fields)).toEqual([{ at: 0 }, { at: 1 }, { at: 2 }]);
});

it('no number of conditions takes memory without a bound', () => {
  const [clock, { lines, log }] = [new SimulatedClock(), keptLines()];
  const recurring = new RecurringLog({ clock, log });
  for (let at = 0; at < 1000; at++) recurring.say('info', String(at), {}, 'it is so');
  recurring.say('info', '0', {}, 'it is so');
  expect(lines).toHaveLength(1000);
  recurring.say('info', 'one more', {}, 'it is so');
  recurring.say('info', '0', {}, 'it is so');
  expect(lines).toHaveLength(1002);
});
