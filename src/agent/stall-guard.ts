import type { Clock } from '../world/clock.ts';

/**
 * The clock of lines in a process that another instance may take over: before a line is told the time, or
 * woken, `check` sees whether the process stood still until now. A process that wakes goes on where it was:
 * in the middle of an answer, or with a timer that went off long ago. Drivers ask for the time before they
 * stamp what came in and before they ask for more, so nothing is taken or sent before the check. `check` may
 * abort the lines; it is called often, and must be cheap.
 */
export function guardedClock(clock: Clock, check: () => void): Clock {
  const guarded =
    (run: () => void): (() => void) =>
    () => {
      check();
      run();
    };
  return {
    monotonicMs: () => {
      check();
      return clock.monotonicMs();
    },
    wallUs: () => {
      check();
      return clock.wallUs();
    },
    sleep: async (ms, signal) => {
      await clock.sleep(ms, signal);
      check();
    },
    schedule: (name, ms, run) => clock.schedule(name, ms, guarded(run)),
    repeat: (name, ms, run) => clock.repeat(name, ms, guarded(run)),
  };
}
