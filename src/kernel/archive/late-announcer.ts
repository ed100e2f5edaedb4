import { type LateRange, mergeLate, PAUSE_MAX_US } from '../../domain/late-range.ts';
import { formatTimeUs } from '../../domain/units.ts';
import type { Log } from '../../world/log.ts';

/**
 * Says in the log what was completed late, once nothing more comes: a line for each process. Bounded: one
 * range for each station.
 */
export class LateAnnouncer {
  readonly #log: Log;
  #open: readonly LateRange[] = [];

  constructor(log: Log) {
    this.#log = log;
  }

  /** After each transaction, received at a time. */
  took(ranges: readonly LateRange[], receivedAtUs: number): void {
    if (ranges.length > 0) this.#open = mergeLate([...this.#open, ...ranges]);
    if (this.#open.length > 0) this.#announce((range) => receivedAtUs - range.completedAtUs > PAUSE_MAX_US);
  }

  /** Nothing more comes. */
  close(): void {
    this.#announce(() => true);
  }

  #announce(isOver: (range: LateRange) => boolean): void {
    const over = this.#open.filter(isOver);
    this.#open = this.#open.filter((range) => !isOver(range));
    for (const ranges of Map.groupBy(over, ({ site, process }) => `${site}\n${process}`).values()) {
      const { site, process } = ranges[0] ?? { site: '', process: '' };
      const from = formatTimeUs(ranges.reduce((least, { fromUs }) => Math.min(least, fromUs), Infinity));
      const to = formatTimeUs(ranges.reduce((most, { toUs }) => Math.max(most, toUs), -Infinity));
      const stations = ranges.map(({ station }) => station);
      this.#log.info({ site, process, stations, from, to }, 'a past range was completed: calculate it again');
    }
  }
}
