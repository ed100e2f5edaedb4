/**
 * Time. Durations and time-outs use `monotonicMs`, which never steps; what is stored and shown uses `wallUs`,
 * which may step in both directions. Order never depends on the wall clock.
 */
export interface Clock {
  /** Milliseconds, fractional, since an arbitrary start; never steps back. */
  monotonicMs(): number;
  /** Integer µs since 1970, UTC; may step. */
  wallUs(): number;
  /** Resolves after `ms` (≥ 0); rejects with the signal's reason when aborted. Leaves no listener behind. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` once after `ms`; `name` is for diagnostics. */
  schedule(name: string, ms: number, run: () => void): Timer;
  /** Calls `run` every `ms`, the first time after `ms`. */
  repeat(name: string, ms: number, run: () => void): Timer;
}

/** A timer that has not necessarily fired yet. */
export interface Timer {
  cancel(): void;
}

/** Resolves when the signal is aborted. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** What `Clock.sleep` promises, made of a clock's own timers; every clock sleeps this way. */
export function sleepOn(clock: Pick<Clock, 'schedule'>, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.schedule('sleep', ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
