import { KomError } from '../../domain/errors.ts';
import type { Clock } from '../../world/clock.ts';

const POLL_MS = 50;

interface Expectation {
  readonly clock: Clock;
  readonly maxMs: number;
  readonly isThere: () => boolean;
}

/** Waits until something is there; false: it did not come in time. */
export async function comes({ clock, maxMs, isThere }: Expectation): Promise<boolean> {
  const endMs = clock.monotonicMs() + maxMs;
  while (!isThere()) {
    if (clock.monotonicMs() > endMs) return false;
    await clock.sleep(POLL_MS);
  }
  return true;
}

/** Waits until something is there. @throws `otherwise` if it does not come in time */
export async function waitFor(awaited: Expectation & { readonly otherwise: () => KomError }): Promise<void> {
  if (!(await comes(awaited))) throw awaited.otherwise();
}

/** The reign has changed, and the new hot one has not said that it knows; `hint`: where to look. */
export function unconfirmed(what: string, hint: string): KomError {
  return new KomError('KOM_SWITCH_UNCONFIRMED', what, { hint });
}
