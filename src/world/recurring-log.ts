import type { Clock } from './clock.ts';
import type { Log, LogFields } from './log.ts';

/** What comes again and again is said again at most so often, unless its owner says otherwise. */
const EVERY_MS = 60_000;
/** Of what may last for days, as an outage may: what is said of it goes to a disk that wears. */
export const LONG_CONDITION_MS = 3_600_000;
/** Conditions remembered; beyond, all are forgotten and said anew. */
const REMEMBERED_MAX = 1000;

/** How often a condition was met. */
export interface Met {
  /** Since it began. */
  readonly times: number;
  /** Since something was said of it, this time apart. */
  readonly suppressed: number;
  readonly forMs: number;
}

/** One condition that is met again and again: when to say so. The home of that rule. */
export class Recurrence {
  readonly #everyMs: number;
  readonly #sinceMs: number;
  #saidMs = Number.NEGATIVE_INFINITY;
  #times = 0;
  #suppressed = 0;

  constructor(nowMs: number, everyMs = EVERY_MS) {
    this.#sinceMs = nowMs;
    this.#everyMs = everyMs;
  }

  /** It is met, at a monotonic time. `null`: it was said not long ago. */
  again(nowMs: number): Met | null {
    this.#times += 1;
    if (nowMs - this.#saidMs < this.#everyMs) {
      this.#suppressed += 1;
      return null;
    }
    const met = { ...this.extent(nowMs), suppressed: this.#suppressed };
    this.#saidMs = nowMs;
    this.#suppressed = 0;
    return met;
  }

  extent(nowMs: number): Omit<Met, 'suppressed'> {
    return { times: this.#times, forMs: nowMs - this.#sinceMs };
  }
}

/**
 * Says each condition once when it begins, and then at most each minute (or `everyMs`), with how many lines
 * were left out as the field `suppressed`.
 */
export class RecurringLog {
  readonly #options: { readonly clock: Clock; readonly log: Log; readonly everyMs?: number };
  readonly #met = new Map<string, Recurrence>();

  constructor(options: { readonly clock: Clock; readonly log: Log; readonly everyMs?: number }) {
    this.#options = options;
  }

  /**
   * `key` is what makes it the same condition: no number of a port or file that changes each time. Returns
   * whether it was said: then its end is worth a line, too.
   */
  say(level: 'info' | 'warn' | 'error', key: string, fields: LogFields, message: string): boolean {
    const { clock, log, everyMs } = this.#options;
    const nowMs = clock.monotonicMs();
    if (this.#met.size >= REMEMBERED_MAX && !this.#met.has(key)) this.#met.clear();
    const recurrence = this.#met.get(key) ?? new Recurrence(nowMs, everyMs);
    this.#met.set(key, recurrence);
    const met = recurrence.again(nowMs);
    if (met === null) return false;
    const { suppressed } = met;
    log[level](suppressed > 0 ? { ...fields, suppressed } : fields, message);
    return true;
  }

  /** Whatever comes now begins anew. */
  over(): void {
    this.#met.clear();
  }
}

/** A failure that comes and goes, and may last: its beginning is said, and its end if that was. */
export class RecurringFailure {
  readonly #options: { readonly clock: Clock; readonly log: Log };
  readonly #recurring: RecurringLog;
  #isSaid = false;

  constructor(options: { readonly clock: Clock; readonly log: Log }) {
    this.#options = options;
    this.#recurring = new RecurringLog(options);
  }

  /** At each try, until it was said: one that lasts may have begun soon after the last one. */
  failed(key: string, fields: LogFields, message: string): void {
    if (!this.#isSaid) this.#isSaid = this.#recurring.say('error', key, fields, message);
  }

  well(message: string): void {
    if (this.#isSaid) this.#options.log.info({}, message);
    this.#isSaid = false;
  }
}
