import { describe, expect, it } from 'vitest';
import type { Clock } from './clock.ts';

/** A clock under test, and the way to let its time pass until a promise settles. */
export interface ClockUnderTest {
  readonly clock: Clock;
  readonly pass: <T>(promise: Promise<T>) => Promise<T>;
}

/** What every clock promises, whether its time is real or virtual. */
export function clockContract(kind: string, make: () => ClockUnderTest): void {
  describe(`${kind} clock`, () => {
    it('never steps back and gives integer µs', () => {
      const { clock } = make();
      let beforeMs = clock.monotonicMs();
      let beforeUs = clock.wallUs();
      for (let i = 0; i < 20_000; i++) {
        const nowMs = clock.monotonicMs();
        const nowUs = clock.wallUs();
        expect(Number.isSafeInteger(nowUs)).toBe(true);
        expect(nowMs).toBeGreaterThanOrEqual(beforeMs);
        expect(nowUs).toBeGreaterThanOrEqual(beforeUs);
        beforeMs = nowMs;
        beforeUs = nowUs;
      }
    });

    it('sleeps at least as long as asked, on both of its times', async () => {
      const { clock, pass } = make();
      const startMs = clock.monotonicMs();
      const startUs = clock.wallUs();
      await pass(clock.sleep(30));
      // A timer of the system counts whole milliseconds from its loop's start.
      expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(29);
      expect(clock.wallUs() - startUs).toBeGreaterThanOrEqual(28_000);
    });

    it('wakes sleepers and timers in the order in which they are due', async () => {
      const { clock, pass } = make();
      const order: string[] = [];
      clock.schedule('late', 40, () => order.push('late'));
      clock.schedule('early', 5, () => order.push('early'));
      const slept = clock.sleep(20).then(() => order.push('sleeper'));
      await pass(slept);
      await pass(clock.sleep(60));
      expect(order).toEqual(['early', 'sleeper', 'late']);
    });

    it('fires timers that are due together in the order in which they were made', async () => {
      const { clock, pass } = make();
      const order: number[] = [];
      for (const n of [1, 2, 3]) clock.schedule(`n${n}`, 10, () => order.push(n));
      await pass(clock.sleep(30));
      expect(order).toEqual([1, 2, 3]);
    });

    it('does not fire a cancelled timer, and cancelling twice or late does nothing', async () => {
      const { clock, pass } = make();
      let fired = 0;
      const cancelled = clock.schedule('cancelled', 5, () => fired++);
      const kept = clock.schedule('kept', 5, () => fired++);
      cancelled.cancel();
      cancelled.cancel();
      await pass(clock.sleep(20));
      kept.cancel();
      expect(fired).toBe(1);
    });

    it('repeats until cancelled, also from within', async () => {
      const { clock, pass } = make();
      let fired = 0;
      const done = new Promise<void>((resolve) => {
        const timer = clock.repeat('repeated', 5, () => {
          fired += 1;
          if (fired < 3) return;
          timer.cancel();
          resolve();
        });
      });
      await pass(done);
      await pass(clock.sleep(30));
      expect(fired).toBe(3);
    });

    it('rejects a sleep with the reason of its signal, before and during', async () => {
      const { clock, pass } = make();
      const reason = new Error('stop');
      await expect(pass(clock.sleep(10_000, AbortSignal.abort(reason)))).rejects.toBe(reason);
      const controller = new AbortController();
      clock.schedule('abort', 5, () => controller.abort(reason));
      await expect(pass(clock.sleep(10_000, controller.signal))).rejects.toBe(reason);
    });

    it('leaves no listener on a signal after 10,000 sleeps', async () => {
      const { clock, pass } = make();
      const counted = countListeners(new AbortController().signal);
      const sleeps = Array.from({ length: 9_999 }, () => clock.sleep(1, counted.signal));
      expect(counted.count()).toBe(9_999);
      await pass(Promise.all(sleeps));
      await pass(clock.sleep(0, counted.signal));
      expect(counted.count()).toBe(0);
    });

    it('refuses a delay that is no time', () => {
      const { clock } = make();
      expect(() => clock.schedule('past', -1, () => {})).toThrow('past');
      expect(() => clock.schedule('never', Number.NaN, () => {})).toThrow('never');
      expect(() => clock.repeat('at once', 0, () => {})).toThrow('at once');
    });
  });
}

/** Counts what is added to and removed from a signal. */
function countListeners(signal: AbortSignal): { signal: AbortSignal; count: () => number } {
  let count = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    count += 1;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    count -= 1;
    remove(...args);
  };
  return { signal, count: () => count };
}
