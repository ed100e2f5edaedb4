import type { Clock } from '../world/clock.ts';
import type { StoreWrite } from '../world/store.ts';
import { SlowestOfHour } from './slowest.ts';

/** The slowest synced write of the last hour, and how much was written in all. */
export class SyncTimes {
  readonly #slowest: SlowestOfHour;
  #writtenBytes = 0;

  constructor(clock: Clock) {
    this.#slowest = new SlowestOfHour(clock);
  }

  /** Bytes of keys and values handed over. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Runs a synced write and notes its time, also when it fails. */
  async measure(writes: readonly StoreWrite[], run: () => Promise<void>): Promise<void> {
    await this.#slowest.measure(run);
    for (const write of writes) {
      this.#writtenBytes += write.key.length + (write.type === 'put' ? write.value.length : 0);
    }
  }

  slowestMs(): number {
    return this.#slowest.slowestMs();
  }
}
