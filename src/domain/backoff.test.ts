import fc from 'fast-check';
import { expect, it } from 'vitest';
import { backoffDelaysMs } from './backoff.ts';

function take(count: number, fractions: readonly number[]): number[] {
  let at = 0;
  const fraction = (): number => fractions[at++ % fractions.length] ?? 0;
  const delays = backoffDelaysMs({ delayMinMs: 250, delayMaxMs: 5000, fraction });
  return Array.from({ length: count }, () => delays.next().value);
}

it('grows threefold at most, up to the maximum', () => {
  expect(take(5, [0.999_999]).map(Math.round)).toEqual([750, 2250, 5000, 5000, 5000]);
});

it('may be as short as the minimum at any time', () => {
  expect(take(3, [0])).toEqual([250, 250, 250]);
});

it('differs from the first delay on', () => {
  expect(take(1, [0.1])).not.toEqual(take(1, [0.9]));
});

it('stays within its bounds whatever chance says', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 1 }), (fractions) => {
      for (const delayMs of take(50, fractions)) {
        expect(delayMs).toBeGreaterThanOrEqual(250);
        expect(delayMs).toBeLessThanOrEqual(5000);
      }
    }),
  );
});
