import { expect, it } from 'vitest';
import { CatchUp } from './catch-up.ts';

const BLOCK_BYTES = 1000;

/** Sends as fast as it may for a time; bytes a second that went. */
function rateOf(pace: CatchUp, forMs: number): number {
  let nowMs = 0;
  let bytes = 0;
  while (nowMs < forMs) {
    nowMs += pace.waitMs(nowMs);
    pace.sent(BLOCK_BYTES, nowMs);
    bytes += BLOCK_BYTES;
    nowMs += 0.01;
  }
  return (bytes / nowMs) * 1000;
}

it('keeps to the ceiling', () => {
  const rate = rateOf(new CatchUp({ minBytesPerS: 0, maxBytesPerS: 20_000 }), 10_000);
  expect(rate).toBeGreaterThan(19_000);
  expect(rate).toBeLessThan(21_000);
});

it('does not save up for later what was not used', () => {
  const pace = new CatchUp({ minBytesPerS: 0, maxBytesPerS: 20_000 });
  pace.sent(BLOCK_BYTES, 0);
  let burst = 0;
  while (pace.waitMs(60_000) === 0) {
    pace.sent(BLOCK_BYTES, 60_000);
    burst += BLOCK_BYTES;
  }
  expect(burst).toBeLessThanOrEqual(20_000 * 0.25 + BLOCK_BYTES);
});

it('has no ceiling unless told', () => {
  const pace = new CatchUp({ minBytesPerS: 0, maxBytesPerS: Number.POSITIVE_INFINITY });
  for (let at = 0; at < 1000; at++) pace.sent(1e6, 0);
  expect(pace.waitMs(0)).toBe(0);
});

it('is below its floor only while blocks wait and too little goes', () => {
  const pace = new CatchUp({ minBytesPerS: 2000, maxBytesPerS: Number.POSITIVE_INFINITY });
  expect(pace.isBelowFloor(100_000), 'nothing waits').toBe(false);
  pace.waits(true, 0);
  expect(pace.isBelowFloor(2000), 'too early to tell').toBe(false);
  for (let ms = 0; ms <= 6000; ms += 500) pace.sent(500, ms);
  expect(pace.isBelowFloor(6000), '1000 bytes a second').toBe(true);
  for (let ms = 6500; ms <= 12_000; ms += 500) pace.sent(2000, ms);
  expect(pace.isBelowFloor(12_000), '4000 bytes a second').toBe(false);
  pace.waits(false, 12_000);
  expect(pace.isBelowFloor(60_000)).toBe(false);
});
