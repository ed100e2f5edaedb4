import type { Clock } from '../world/clock.ts';

const BUCKET_MS = 60_000;
const BUCKETS = 60;

/** The longest that something took, or was late, within the last hour, by the minute. */
export class SlowestOfHour {
  readonly #clock: Clock;
  readonly #minutes: { minute: number; ms: number }[] = [];
  readonly #underWay = new Set<{ readonly startMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs something and notes its time, also when it fails. */
  async measure<T>(run: () => Promise<T>): Promise<T> {
    const one = { startMs: this.#clock.monotonicMs() };
    this.#underWay.add(one);
    try {
      return await run();
    } finally {
      this.#underWay.delete(one);
      this.note(this.#clock.monotonicMs() - one.startMs);
    }
  }

  /** Something took this long until now, milliseconds; what took no time is not noted. */
  note(ms: number): void {
    if (ms > 0) this.#note(this.#clock.monotonicMs(), ms);
  }

  /** Milliseconds; what is not done yet counts with its time so far. */
  slowestMs(): number {
    const nowMs = this.#clock.monotonicMs();
    this.#forget(nowMs);
    const done = this.#minutes.reduce((slowest, { ms }) => Math.max(slowest, ms), 0);
    return [...this.#underWay].reduce((slowest, { startMs }) => Math.max(slowest, nowMs - startMs), done);
  }

  #note(nowMs: number, ms: number): void {
    this.#forget(nowMs);
    const minute = Math.floor(nowMs / BUCKET_MS);
    const last = this.#minutes.at(-1);
    if (last?.minute === minute) last.ms = Math.max(last.ms, ms);
    else this.#minutes.push({ minute, ms });
  }

  #forget(nowMs: number): void {
    const oldest = Math.floor(nowMs / BUCKET_MS) - BUCKETS;
    while ((this.#minutes[0]?.minute ?? oldest + 1) <= oldest) this.#minutes.shift();
  }
}
