import { describe, expect, it } from 'vitest';
import { clockContract } from '../clock.contract.ts';
import { SimulatedClock } from './clock.ts';

clockContract('simulated', () => {
  const clock = new SimulatedClock();
  return { clock, pass: (promise) => clock.runUntil(promise) };
});

describe('virtual time', () => {
  it('passes only when told, and days in a moment', async () => {
    const clock = new SimulatedClock(1_000_000);
    const woken = clock.sleep(86_400_000 * 30);
    await clock.advance(86_400_000 * 30);
    await woken;
    expect(clock.monotonicMs()).toBe(86_400_000 * 30);
    expect(clock.wallUs()).toBe(1_000_000 + 86_400_000_000 * 30);
  });

  it('steps the wall clock without touching the other', () => {
    const clock = new SimulatedClock(10_000_000);
    clock.stepWallMs(-1500);
    expect(clock.wallUs()).toBe(8_500_000);
    expect(clock.monotonicMs()).toBe(0);
  });

  it('runs everything that waits for promises before the next timer', async () => {
    const clock = new SimulatedClock();
    const order: string[] = [];
    clock.schedule('first', 1, () => {
      void (async () => {
        for (let i = 0; i < 50; i++) await Promise.resolve();
        order.push(`after promises at ${clock.monotonicMs()}`);
      })();
    });
    clock.schedule('second', 2, () => order.push('second'));
    await clock.advance(5);
    expect(order).toEqual(['after promises at 1', 'second']);
    expect(clock.pendingTimers).toEqual([]);
  });

  it('lets timers that a timer makes fire within the same advance', async () => {
    const clock = new SimulatedClock();
    let atMs = 0;
    clock.schedule('outer', 3, () => {
      clock.schedule('inner', 4, () => {
        atMs = clock.monotonicMs();
      });
    });
    await clock.advance(10);
    expect(atMs).toBe(7);
    expect(clock.monotonicMs()).toBe(10);
  });

  it('names the timer that re-arms without time passing', async () => {
    const clock = new SimulatedClock();
    const again = () => {
      clock.schedule('busy loop', 0, again);
    };
    again();
    await expect(clock.advance(1)).rejects.toThrow('timer busy loop fires again');
  });

  it('says why a promise cannot settle', async () => {
    const clock = new SimulatedClock();
    const never = new Promise<void>(() => {});
    await expect(clock.runUntil(never)).rejects.toThrow('no timer is left');
    clock.repeat('heartbeat', 1000, () => {});
    await expect(clock.runUntil(never, 5000)).rejects.toThrow('heartbeat at 6000 ms');
  });

  it('hands on how a promise settles', async () => {
    const clock = new SimulatedClock();
    expect(await clock.runUntil(clock.sleep(5).then(() => 'value'))).toBe('value');
    const failing = clock.sleep(5).then(() => {
      throw new Error('reason');
    });
    await expect(clock.runUntil(failing)).rejects.toThrow('reason');
  });
});
