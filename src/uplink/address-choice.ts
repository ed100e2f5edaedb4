export interface AddressChoiceOptions {
  /** Number of addresses; the first is preferred to the second, and so on. */
  readonly count: number;
  /** Delays between the tries of one address, endless; called again when it was stable. */
  readonly newDelaysMs: () => Iterator<number, never>;
  /** A preferred address must answer for so long before we go back to it. */
  readonly returnAfterMs: number;
}

/** What is known of one address. */
export interface AddressState {
  readonly lastError: string | null;
  /** Not tried again before, monotonic milliseconds. */
  readonly dueMs: number;
  /** It answers since, monotonic milliseconds, as far as was asked; `null`: it does not. */
  readonly reachableSinceMs: number | null;
}

interface Entry {
  delays: Iterator<number, never>;
  dueMs: number;
  lastError: string | null;
  reachableSinceMs: number | null;
}

/**
 * Which of several addresses to use: the first one that works, and back to a better one when that has
 * answered for a time. Each address has its own delays, so one that is down costs the others nothing.
 */
export class AddressChoice {
  readonly #options: AddressChoiceOptions;
  readonly #entries: Entry[];

  constructor(options: AddressChoiceOptions) {
    this.#options = options;
    this.#entries = Array.from({ length: options.count }, () => ({
      delays: options.newDelaysMs(),
      dueMs: Number.NEGATIVE_INFINITY,
      lastError: null,
      reachableSinceMs: null,
    }));
  }

  get states(): readonly AddressState[] {
    return this.#entries;
  }

  /** Addresses that may be tried now, preferred first. */
  due(nowMs: number): number[] {
    return this.#entries.flatMap(({ dueMs }, index) => (dueMs <= nowMs ? [index] : []));
  }

  /** How long until one may be tried, milliseconds; infinite if there is none at all. */
  dueInMs(nowMs: number): number {
    const dueMs = Math.min(Number.POSITIVE_INFINITY, ...this.#entries.map((entry) => entry.dueMs));
    return Math.max(0, dueMs - nowMs);
  }

  /** It did not work, or stopped working. `restMs`: for at least so long it is left alone. */
  failed(
    index: number,
    why: { readonly nowMs: number; readonly error: string; readonly restMs?: number },
  ): void {
    const entry = this.#entry(index);
    entry.lastError = why.error;
    entry.reachableSinceMs = null;
    entry.dueMs = why.nowMs + Math.max(why.restMs ?? 0, entry.delays.next().value);
  }

  /** A session began. */
  works(index: number, nowMs: number): void {
    const entry = this.#entry(index);
    entry.lastError = null;
    entry.reachableSinceMs ??= nowMs;
  }

  /** A session over it was stable: the next loss begins with short delays again. */
  stable(index: number): void {
    this.#entry(index).delays = this.#options.newDelaysMs();
  }

  /** Was asked beside a session over another address. */
  probed(index: number, nowMs: number, error: string | null): void {
    const entry = this.#entry(index);
    entry.lastError = error;
    entry.reachableSinceMs = error === null ? (entry.reachableSinceMs ?? nowMs) : null;
  }

  /** An address better than the present one that has answered for long enough; `null`: stay. */
  better(present: number, nowMs: number): number | null {
    const index = this.#entries.findIndex(
      ({ reachableSinceMs }, at) =>
        at < present && reachableSinceMs !== null && nowMs - reachableSinceMs >= this.#options.returnAfterMs,
    );
    return index === -1 ? null : index;
  }

  /** We go back to it: it may be tried at once. */
  chosen(index: number): void {
    this.#entry(index).dueMs = Number.NEGATIVE_INFINITY;
  }

  #entry(index: number): Entry {
    const entry = this.#entries[index];
    if (entry === undefined) throw new RangeError(`there is no address ${index}`);
    return entry;
  }
}
