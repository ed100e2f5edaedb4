import { reasonOf } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { type Met, Recurrence } from '../world/recurring-log.ts';

/** Says of an outage that is met again and again how it began, each minute that it goes on, and its end. */
export class OutageLog {
  readonly #options: { readonly clock: Clock; readonly log: Log; readonly what: string };
  #outage: { readonly met: Recurrence; reason: string } | null = null;

  /** `what` takes nothing, as in `the archive`. */
  constructor(options: { readonly clock: Clock; readonly log: Log; readonly what: string }) {
    this.#options = options;
  }

  /** Why it takes nothing now; `null`: it does, as far as is known. */
  get reason(): string | null {
    return this.#outage?.reason ?? null;
  }

  failed(error: unknown): void {
    const { clock, log, what } = this.#options;
    const nowMs = clock.monotonicMs();
    const reason = reasonOf(error);
    this.#outage ??= { met: new Recurrence(nowMs), reason };
    this.#outage.reason = reason;
    const met = this.#outage.met.again(nowMs);
    if (met === null) return;
    const why = { error: reason };
    if (met.times === 1) log.error(why, `${what} takes nothing; agents wait and keep their backlog`);
    else log.error({ ...why, ...extentOf(met) }, `${what} still takes nothing`);
  }

  well(): void {
    if (this.#outage === null) return;
    const { clock, log, what } = this.#options;
    log.warn(extentOf(this.#outage.met.extent(clock.monotonicMs())), `${what} takes what comes again`);
    this.#outage = null;
  }
}

function extentOf({ times, forMs }: Pick<Met, 'times' | 'forMs'>) {
  return { refusals: times, seconds: Math.round(forMs / 1000) };
}
