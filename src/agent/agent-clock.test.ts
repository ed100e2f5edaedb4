import { expect, test } from 'vitest';
import { clockContract } from '../world/clock.contract.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { AgentClock } from './agent-clock.ts';

const BOOT = '1'.repeat(32);
const HOUR_US = 3_600_000_000;

/** A machine whose wall clock is ahead of the true time, which can be changed. */
function machine(aheadUs = 0) {
  const time = new SimulatedClock();
  const wall = { aheadUs };
  const system = {
    monotonicMs: () => time.monotonicMs(),
    wallUs: () => time.wallUs() + wall.aheadUs,
    sleep: time.sleep.bind(time),
    schedule: time.schedule.bind(time),
    repeat: time.repeat.bind(time),
  };
  const clock = new AgentClock({ system, mode: 'system', bootId: BOOT });
  const heartbeat = (): void => {
    const monotonicUs = time.monotonicMs() * 1000;
    const kernelUs = time.wallUs();
    clock.learn({
      ...{ sentUs: monotonicUs - 2000, receivedUs: monotonicUs },
      ...{ kernelReceivedUs: kernelUs - 1000, kernelSentUs: kernelUs - 1000 },
    });
  };
  return { time, wall, clock, heartbeat };
}

clockContract('agent', () => {
  const { time, clock } = machine();
  return {
    clock,
    pass: async (promise) => {
      let isDone = false;
      promise.then(
        () => (isDone = true),
        () => (isDone = true),
      );
      while (!isDone) await time.advance(1);
      return await promise;
    },
  };
});

test('a step of the system is followed when it is looked at, and not in between', async () => {
  const { time, wall, clock } = machine();
  await time.advance(1000);
  wall.aheadUs = HOUR_US;
  expect(clock.wallUs()).toBe(time.wallUs());
  expect(clock.follow()?.byUs).toBe(HOUR_US);
  expect(clock.wallUs()).toBe(time.wallUs() + HOUR_US);
});

test.each([HOUR_US, -HOUR_US])(
  'what was stamped before a change by %i µs is moved by it, once',
  async (byUs) => {
    const { time, wall, clock } = machine(0);
    await time.advance(10_000_000);
    const beforeUs = clock.wallUs();
    await time.advance(100);
    wall.aheadUs = byUs;
    clock.follow();
    await time.advance(100);
    const afterUs = clock.wallUs();
    expect(clock.presentOf(beforeUs)).toBe(beforeUs + byUs);
    expect(clock.presentOf(afterUs)).toBe(afterUs);
    expect(clock.presentOf(-1)).toBe(-1);
    expect(clock.hasChangedLately).toBe(true);
    await time.advance(601_000);
    expect(clock.hasChangedLately).toBe(false);
  },
);

test('the status tells the Kernel from the system, and what the next run is to know', async () => {
  const { time, wall, clock, heartbeat } = machine();
  expect(clock.status).toMatchObject({ source: 'system', state: 'certain', kernelAheadUs: null });
  await time.advance(1000);
  heartbeat();
  clock.follow();
  wall.aheadUs = -HOUR_US;
  clock.follow();
  const { status, saved, reference } = clock;
  expect(status).toMatchObject({ source: 'kernel', state: 'certain', systemAheadUs: -HOUR_US, stepCount: 1 });
  expect(Math.abs(status.kernelAheadUs ?? 9e9)).toBeLessThanOrEqual(1000);
  expect(status.kernelUncertaintyUs).toBe(1000);
  expect(saved).toMatchObject({ bootId: BOOT, isConfirmed: true, source: 'kernel' });
  expect(reference?.by).toBe('kernel');
});

test('nobody is a reference while nothing vouches for the time', () => {
  const { clock } = machine(-40 * 365 * 24 * HOUR_US);
  expect(clock.isCertain).toBe(false);
  expect(clock.reference).toBeNull();
});
