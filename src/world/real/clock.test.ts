import { describe, expect, it } from 'vitest';
import { clockContract } from '../clock.contract.ts';
import { createClock } from './clock.ts';

clockContract('real', () => ({ clock: createClock(), pass: (promise) => promise }));

it('counts from the start of the operating system, so that times of two processes compare', () => {
  const sinceBootMs = Number(process.hrtime.bigint()) / 1e6;
  expect(Math.abs(createClock().monotonicMs() - sinceBootMs)).toBeLessThan(20);
});

describe('wall time', () => {
  it('is the time of the system', () => {
    const differenceUs = createClock().wallUs() - Date.now() * 1000;
    expect(Math.abs(differenceUs)).toBeLessThan(20_000);
  });

  it('tells moments within one millisecond apart', () => {
    const source = { epochMs: () => 5000, monotonicMs: () => monotonicMs };
    let monotonicMs = 100;
    const clock = createClock(source);
    monotonicMs = 100.25;
    expect(clock.wallUs()).toBe(5_000_250);
    monotonicMs = 100.75;
    expect(clock.wallUs()).toBe(5_000_750);
    monotonicMs = 103;
    expect(clock.wallUs()).toBe(5_000_999);
  });

  it('follows a step of the system clock at once, in both directions', () => {
    let epochMs = 1_000_000;
    let monotonicMs = 0;
    const clock = createClock({ epochMs: () => epochMs, monotonicMs: () => monotonicMs });
    epochMs -= 3_600_000;
    monotonicMs += 1;
    expect(clock.wallUs()).toBeLessThan((1_000_000 - 3_600_000 + 1) * 1000);
    epochMs += 7_200_000;
    monotonicMs += 1;
    expect(clock.wallUs()).toBe((1_000_000 + 3_600_000) * 1000);
  });

  it('never goes back while the system clock does not, whatever the other one does', () => {
    let epochMs = 10;
    let monotonicMs = 0;
    const clock = createClock({ epochMs: () => epochMs, monotonicMs: () => monotonicMs });
    let beforeUs = clock.wallUs();
    for (let i = 0; i < 10_000; i++) {
      monotonicMs += ((i * 7919) % 1000) / 400;
      if (i % 3 === 0) epochMs += i % 5;
      const nowUs = clock.wallUs();
      expect(nowUs).toBeGreaterThanOrEqual(beforeUs);
      expect(Math.floor(nowUs / 1000)).toBe(epochMs);
      beforeUs = nowUs;
    }
  });
});

describe('long waits', () => {
  it('does not fire a timer of 60 days at once', async () => {
    const clock = createClock();
    let hasFired = false;
    const timer = clock.schedule('in 60 days', 60 * 86_400_000, () => {
      hasFired = true;
    });
    await clock.sleep(20);
    timer.cancel();
    expect(hasFired).toBe(false);
  });

  it('skips the periods that a busy loop missed', async () => {
    const clock = createClock();
    let fired = 0;
    const timer = clock.repeat('period', 10, () => {
      fired += 1;
    });
    const untilMs = clock.monotonicMs() + 100;
    while (clock.monotonicMs() < untilMs);
    await clock.sleep(35);
    timer.cancel();
    expect(fired).toBeGreaterThanOrEqual(2);
    expect(fired).toBeLessThanOrEqual(6);
  });
});
