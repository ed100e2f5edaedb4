import { expect, test } from 'vitest';
import type { ClockStatus } from '../agent/agent-clock.ts';
import { clockLines } from './clock-report.ts';

const WELL: ClockStatus = {
  ...{ mode: 'system', source: 'system', state: 'certain', kernelAheadUs: 300, kernelUncertaintyUs: 2500 },
  ...{ systemAheadUs: 0, stepCount: 0, steps: [] },
};

test('a clock that is well takes two lines', () => {
  expect([...clockLines(WELL)]).toEqual([
    '  clock        certain: follows the clock of this machine',
    '    Kernel     agrees with what is stamped (± 3 ms)',
  ]);
});

test('a clock that is not says what is wrong', () => {
  const steps = [{ atUs: 1_767_225_600_000_000, byUs: -3_600_000_000, what: 'system' }] as const;
  const wrong = { source: 'kernel', systemAheadUs: -3_600_000_000, stepCount: 7, steps } as const;
  expect([...clockLines({ ...WELL, ...wrong, kernelAheadUs: null })]).toEqual([
    "  clock        certain: follows the Kernel's clock, though the site file asks for system",
    '    Kernel     has not told its time yet',
    '    system     is 1.0 h behind what is stamped: it is wrong',
    '    steps      7; the last at 2026-01-01T00:00:00.000000Z: the system clock was set by -1.0 h',
  ]);
  const [, kernel] = clockLines({ ...WELL, kernelAheadUs: 5_000_000 });
  expect(kernel).toContain('one of the two clocks is wrong');
  const [first] = clockLines({ ...WELL, source: 'saved', state: 'uncertain' });
  expect(first).toContain('uncertain: follows the last saved time');
});
