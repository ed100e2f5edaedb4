import { describeError } from '../../domain/errors.ts';
import type { Clock, Timer } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import { monthOf } from './schema.ts';

/** How often is looked for months that are older than the retention. */
const EVERY_MS = 3_600_000;

export interface RetentionOptions {
  readonly retentionMs: number;
  /**
   * Drops the months that are wholly older than the retention, with the gaps of that time, in the turn of
   * the writes. Gets the time by the wall clock, integer µs since 1970. Returns how many months were dropped.
   * @throws KomError
   */
  readonly dropOldMonths: (age: { readonly nowUs: number; readonly retentionMs: number }) => Promise<number>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Drops old months every hour, until it is stopped. */
export class Retention {
  readonly #options: RetentionOptions;
  readonly #timer: Timer;

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.#timer = options.clock.repeat('retention', EVERY_MS, () => void this.drop());
  }

  /** Now; what does not go now is tried again with the next hour. */
  async drop(): Promise<void> {
    const { retentionMs, dropOldMonths, clock, log } = this.#options;
    try {
      const months = await dropOldMonths({ nowUs: clock.wallUs(), retentionMs });
      if (months > 0) log.info({ months }, 'months that are older than the retention are dropped');
    } catch (error) {
      log.warn({ error: describeError(error) }, 'months that are older than the retention are still there');
    }
  }

  stop(): void {
    this.#timer.cancel();
  }
}

/** What it goes by which months are kept. */
export interface Age {
  readonly retentionMs: number;
  /** The younger of the clocks that there are, integer µs since 1970. */
  readonly nowUs: number;
  /** The streams of the archive, with how far each was observed. */
  readonly streams: Iterable<{ readonly observedUntilUs: number }>;
  /** A time of each month that has rows, integer µs, in any order. */
  readonly months: readonly number[];
}

/**
 * The start of the oldest month that is kept, integer µs since 1970: what is wholly before it goes, unless it
 * was received at `receivedFromUs` or later. The younger of two clocks counts, that of the archive and that
 * of the agents, as far as any of them has observed; agents may have the Kernel's, so where both run ahead
 * the newest months stay by their number. `null`: everything is kept.
 */
export function keptFromUs({ retentionMs, nowUs, streams, months }: Age): {
  readonly fromUs: number;
  readonly receivedFromUs: number;
} | null {
  let observedUs: number | null = null;
  for (const { observedUntilUs } of streams) {
    observedUs = Math.max(observedUs ?? observedUntilUs, observedUntilUs);
  }
  const starts = [...new Set(months.map((timeUs) => monthOf(timeUs).fromUs))].sort((a, b) => b - a);
  const lastKeptUs = starts[keptMonthsMin(retentionMs) - 1];
  if (observedUs === null || lastKeptUs === undefined) return null;
  const receivedFromUs = monthOf(Math.min(nowUs, observedUs) - retentionMs * 1000).fromUs;
  return { fromUs: Math.min(receivedFromUs, lastKeptUs), receivedFromUs };
}

const MONTH_DAYS_MAX = 31;

/**
 * As many of the newest months that have rows stay, whatever the clock says: as many as the retention has,
 * and two at least. So a clock that is years ahead for a night costs the oldest month or two, and not the
 * archive.
 */
export function keptMonthsMin(retentionMs: number): number {
  return Math.max(2, Math.floor(retentionMs / (MONTH_DAYS_MAX * 86_400_000)));
}
