import { KomError } from '../../domain/errors.ts';
import type { Clock } from '../../world/clock.ts';

export interface Bound {
  readonly clock: Clock;
  readonly ms: number;
  /** What was waited for: "the session of opc.tcp://…". */
  readonly what: string;
  readonly signal?: AbortSignal;
}

/**
 * The result of `work`, or an error when it takes longer than the bound or the signal is aborted. The work
 * itself is not stopped by that; what it ends with later is dropped.
 * @throws KomError KOM_DEVICE_TIMEOUT; the signal's reason
 */
export async function bounded<T>(bound: Bound, work: Promise<T>): Promise<T> {
  const { clock, ms, what, signal } = bound;
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => settle(() => reject(signal?.reason));
    const timer = clock.schedule('opcua-bound', ms, () =>
      settle(() =>
        reject(new KomError('KOM_DEVICE_TIMEOUT', what, { expected: `an answer within ${ms} ms` })),
      ),
    );
    function settle(how: () => void): void {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
      how();
    }
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
    work.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}
