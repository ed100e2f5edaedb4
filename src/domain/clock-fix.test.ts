import { describe, expect, it } from 'vitest';
import type { ClockChange } from './clock-discipline.ts';
import {
  type ClockReference,
  ERAS_MAX,
  firstEra,
  fixesOf,
  type StampedEra,
  withChange,
} from './clock-fix.ts';

const STREAM = 'a'.repeat(32);
const HOUR = 3600e6;

function change(before: [number, boolean], after: [number, boolean]): ClockChange {
  const [one, other] = [before, after].map(([offsetUs, isCertain]) => ({ offsetUs, isCertain }));
  if (one === undefined || other === undefined) throw new Error('two eras');
  return { before: one, after: other, byUs: other.offsetUs - one.offsetUs };
}

function fixes(eras: readonly StampedEra[], reference: ClockReference, through = 100): unknown[] {
  return fixesOf({ streamId: STREAM, eras, through }, reference, 5).fixes.map(
    ({ firstSequence, lastSequence, offsetUs }) => [firstSequence, lastSequence, offsetUs],
  );
}

describe('what is told of times that were off', () => {
  it('an uncertain era is corrected exactly, once, by whoever knows the time', () => {
    const eras = withChange(
      firstEra({ offsetUs: 0, isCertain: false }),
      change([0, false], [HOUR, true]),
      11,
    );
    const kernel = { offsetUs: HOUR, by: 'kernel' } as const;
    expect(fixes(eras, kernel)).toEqual([[1, 10, HOUR]]);
    expect(fixes(eras, { ...kernel, by: 'system' })).toEqual([[1, 10, HOUR]]);
    const told = fixesOf({ streamId: STREAM, eras, through: 100 }, kernel, 5).eras;
    expect(fixes(told, { ...kernel, offsetUs: HOUR + 900_000 })).toEqual([]);
    const moved = [
      [1, 10, 2 * HOUR],
      [11, 100, HOUR],
    ];
    expect(fixes(told, { ...kernel, offsetUs: 2 * HOUR })).toEqual(moved);
  });

  it('an era that ended or began with a step is corrected if the Kernel says that it was wrong', () => {
    const eras = withChange(firstEra({ offsetUs: 0, isCertain: true }), change([0, true], [HOUR, true]), 11);
    expect(fixes(eras, { offsetUs: 400_000, by: 'kernel' })).toEqual([[11, 100, 400_000 - HOUR]]);
    expect(fixes(eras, { offsetUs: HOUR, by: 'kernel' })).toEqual([[1, 10, HOUR]]);
    expect(fixes(eras, { offsetUs: HOUR, by: 'system' })).toEqual([]);
  });

  it('an era that was certain and never set is trusted, however far the Kernel is off', () => {
    expect(fixes(firstEra({ offsetUs: 0, isCertain: true }), { offsetUs: HOUR, by: 'kernel' })).toEqual([]);
  });

  it('an era without a number is none, and there are not more than are remembered', () => {
    let eras = firstEra({ offsetUs: 0, isCertain: false });
    eras = withChange(eras, change([0, false], [HOUR, true]), 1);
    expect(eras.map(({ firstSequence }) => firstSequence)).toEqual([1]);
    for (let n = 2; n < 200; n++) eras = withChange(eras, change([HOUR, true], [HOUR, false]), n);
    expect(eras).toHaveLength(ERAS_MAX);
    expect(fixes(eras.slice(-1), { offsetUs: 0, by: 'kernel' }, 150)).toEqual([]);
  });
});
