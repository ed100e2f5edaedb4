import type { Clock } from '../world/clock.ts';
import type { StoreWrite } from '../world/store.ts';

const BUCKET_MS = 60_000;
const BUCKETS = 60;

/** The slowest synced write of the last hour, by the minute, and how much was written in all. */
export class SyncTimes {
  readonly #clock: Clock;
  readonly #slowestMs: { minute: number; ms: number }[] = [];
  #writtenBytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Bytes of keys and values handed over. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Runs a synced write and notes its time, also when it fails. */
  async measure(writes: readonly StoreWrite[], run: () => Promise<void>): Promise<void> {
    const startMs = this.#clock.monotonicMs();
    try {
      await run();
    } finally {
      this.#note(this.#clock.monotonicMs(), startMs);
    }
    for (const write of writes) {
      this.#writtenBytes += write.key.length + (write.type === 'put' ? write.value.length : 0);
    }
  }

  slowestMs(): number {
    this.#forget(this.#clock.monotonicMs());
    return this.#slowestMs.reduce((slowest, { ms }) => Math.max(slowest, ms), 0);
  }

  #note(nowMs: number, startMs: number): void {
    this.#forget(nowMs);
    const minute = Math.floor(nowMs / BUCKET_MS);
    const last = this.#slowestMs.at(-1);
    if (last?.minute === minute) last.ms = Math.max(last.ms, nowMs - startMs);
    else this.#slowestMs.push({ minute, ms: nowMs - startMs });
  }

  #forget(nowMs: number): void {
    const oldest = Math.floor(nowMs / BUCKET_MS) - BUCKETS;
    while ((this.#slowestMs[0]?.minute ?? oldest + 1) <= oldest) this.#slowestMs.shift();
  }
}
