import type { Now } from '../domain/report-by-exception.ts';
import type { LinkBatch } from '../drivers/driver.ts';

/** Readings that are kept at most. */
const READINGS_MAX = 50_000;

/** A batch, and when it came. */
export interface HeldBatch {
  readonly batch: LinkBatch;
  readonly now: Now;
}

/**
 * What a standby observed of a line in the last few seconds, so that it can tell what the active one did not
 * any more. Bounded by age and by readings; the oldest gives way.
 */
export class HotWindow {
  readonly #spanMs: number;
  #held: HeldBatch[] = [];
  #readings = 0;

  /** @param spanMs as long as a takeover may take */
  constructor(spanMs: number) {
    this.#spanMs = spanMs;
  }

  push(batch: LinkBatch, now: Now): void {
    this.#held.push({ batch, now });
    this.#readings += batch.readings.length;
    let surplus = 0;
    for (const { batch: oldest, now: at } of this.#held) {
      if (this.#readings <= READINGS_MAX && now.monotonicMs - at.monotonicMs <= this.#spanMs) break;
      this.#readings -= oldest.readings.length;
      surplus += 1;
    }
    if (surplus > 0) this.#held.splice(0, surplus);
  }

  /** Gives out what came after a wall time (integer µs), oldest first, and forgets the rest. */
  take(sinceUs: number): readonly HeldBatch[] {
    const held = this.#held.filter(({ now }) => now.wallUs > sinceUs);
    this.clear();
    return held;
  }

  clear(): void {
    this.#held = [];
    this.#readings = 0;
  }

  /** The clock was set by so much, µs: what it stamped goes along. */
  clockChanged(byUs: number): void {
    this.#held = this.#held.map(({ batch, now }) => ({
      batch: {
        ...batch,
        readings: batch.readings.map((reading) =>
          reading.isDeviceTime ? reading : { ...reading, sourceTimeUs: reading.sourceTimeUs + byUs },
        ),
      },
      now: { ...now, wallUs: now.wallUs + byUs },
    }));
  }
}
