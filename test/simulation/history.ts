import { createHash } from 'node:crypto';
import type { Log, LogFields } from '../../src/world/log.ts';
import type { SimulatedClock } from '../../src/world/simulated/clock.ts';

/** Lines that are kept for a person; the hash covers all of them. */
const LINES_KEPT = 2000;

/** What happened, in order: for the reader of a failing seed, and as proof that a seed repeats itself. */
export class History {
  readonly #clock: SimulatedClock;
  readonly #hash = createHash('sha256');
  /** Sessions with a Kernel that ended because a store did not read or write: no fault of the link. */
  readonly endedByStore: string[] = [];
  #lines: string[] = [];
  #count = 0;

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  note(text: string): void {
    const line = `${(this.#clock.monotonicMs() / 1000).toFixed(3).padStart(9)} s  ${text}`;
    this.#hash.update(`${line}\n`);
    this.#lines.push(line);
    if (this.#lines.length > 2 * LINES_KEPT) this.#lines = this.#lines.slice(-LINES_KEPT);
    this.#count += 1;
  }

  get lines(): readonly string[] {
    return this.#lines.slice(-LINES_KEPT);
  }

  get count(): number {
    return this.#count;
  }

  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  /** A log of the product whose lines become part of the history. */
  log(who: string, fields: LogFields = {}): Log {
    const line = (level: string) => (more: LogFields, message: string) => {
      const said = `${who} ${level} ${message} ${text({ ...fields, ...more })}`;
      this.note(said);
      const isOfStore = /^KOM_STORE_(OPEN|READ|WRITE)$/.test(String(more['code']));
      if (isOfStore && message === 'no session with the Kernel') this.endedByStore.push(said);
    };
    return {
      debug: () => {},
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
      child: (more) => this.log(who, { ...fields, ...more }),
    };
  }
}

function text(fields: LogFields): string {
  return JSON.stringify(fields, (key, value) => (key === 'stack' ? undefined : value));
}
