export interface AddressChoiceOptions {
  /** Numbers of the addresses; the first is preferred to the second, and so on. */
  readonly addresses: readonly number[];
  /** Delays between the tries of one address, endless; called again when it was stable. */
  readonly newDelaysMs: () => Iterator<number, never>;
  /** A preferred address must answer for so long before we go back to it. */
  readonly returnAfterMs: number;
}

/** A connection over an address, other than a session, that tells of the Kernel there. */
export interface Heard {
  readonly isHot: boolean;
  /** So it is since, monotonic milliseconds. */
  readonly sinceMs: number;
}

/** What is known of one address. */
export interface AddressState {
  readonly lastError: string | null;
  /** When that was, monotonic milliseconds; `null` without one. */
  readonly failedMs: number | null;
  /** What is heard over it beside a session; `null`: nothing. */
  readonly heard: Heard | null;
  /** Not tried again before, monotonic milliseconds. */
  readonly dueMs: number;
  /** It answers since, monotonic milliseconds, as far as was asked; `null`: it does not. */
  readonly reachableSinceMs: number | null;
}

interface Entry {
  delays: Iterator<number, never>;
  dueMs: number;
  lastError: string | null;
  failedMs: number | null;
  heard: Heard | null;
  reachableSinceMs: number | null;
}

/**
 * Which of several addresses to use: the first one that works, and back to a better one when that has
 * answered for a time. Each address has its own delays, so one that is down costs the others nothing. What is
 * said of an address that was left out meanwhile is passed over.
 */
export class AddressChoice {
  readonly #options: AddressChoiceOptions;
  /** In the order of preference. */
  #entries: ReadonlyMap<number, Entry> = new Map();

  constructor(options: AddressChoiceOptions) {
    this.#options = options;
    this.change(options.addresses);
  }

  /** Preferred first. */
  get addresses(): readonly number[] {
    return [...this.#entries.keys()];
  }

  /** In the order of preference. */
  get states(): readonly AddressState[] {
    return [...this.#entries.values()];
  }

  has(address: number): boolean {
    return this.#entries.has(address);
  }

  /** These are the addresses from now on. What is known of one that stays is kept. */
  change(addresses: readonly number[]): void {
    const before = this.#entries;
    this.#entries = new Map(addresses.map((address) => [address, before.get(address) ?? this.#newEntry()]));
  }

  /** Addresses that may be tried now, preferred first. */
  due(nowMs: number): number[] {
    return [...this.#entries].flatMap(([address, { dueMs }]) => (dueMs <= nowMs ? [address] : []));
  }

  /** How long until one may be tried, milliseconds; infinite if there is none at all. */
  dueInMs(nowMs: number): number {
    const dueMs = Math.min(Number.POSITIVE_INFINITY, ...this.states.map((entry) => entry.dueMs));
    return Math.max(0, dueMs - nowMs);
  }

  /** It did not work, or stopped working. `restMs`: for at least so long it is left alone. */
  failed(
    address: number,
    why: { readonly nowMs: number; readonly error: string; readonly restMs?: number },
  ): void {
    const entry = this.#entries.get(address);
    if (entry === undefined) return;
    entry.lastError = why.error;
    entry.failedMs = why.nowMs;
    entry.reachableSinceMs = null;
    entry.dueMs = why.nowMs + Math.max(why.restMs ?? 0, entry.delays.next().value);
  }

  /** A session began. */
  works(address: number, nowMs: number): void {
    const entry = this.#entries.get(address);
    if (entry === undefined) return;
    settle(entry);
    entry.reachableSinceMs ??= nowMs;
  }

  /** A session over it was stable: the next loss begins with short delays again. */
  stable(address: number): void {
    const entry = this.#entries.get(address);
    if (entry !== undefined) entry.delays = this.#options.newDelaysMs();
  }

  /** Was asked beside a session over another address. */
  probed(address: number, nowMs: number, error: string | null): void {
    const entry = this.#entries.get(address);
    if (entry === undefined) return;
    entry.lastError = error;
    entry.failedMs = error === null ? null : nowMs;
    entry.reachableSinceMs = error === null ? (entry.reachableSinceMs ?? nowMs) : null;
  }

  /** A connection beside a session came up: whatever kept one from that is over. */
  answered(address: number): void {
    const entry = this.#entries.get(address);
    if (entry !== undefined) settle(entry);
  }

  /** Said over such a connection. A standby takes no session, so that it took none is no error. */
  heard(address: number, nowMs: number, isHot: boolean): void {
    const entry = this.#entries.get(address);
    if (entry === undefined) return;
    if (!isHot || entry.heard?.isHot === false) settle(entry);
    if (entry.heard?.isHot !== isHot) entry.heard = { isHot, sinceMs: nowMs };
  }

  /** Such a connection is over, or did not come up. When a session is tried is another matter. */
  unheard(address: number, nowMs: number, error: string | null): void {
    const entry = this.#entries.get(address);
    if (entry === undefined) return;
    entry.heard = null;
    if (error === null) return;
    entry.lastError = error;
    entry.failedMs = nowMs;
  }

  /** Addresses that are preferred to one; none where that is gone. */
  betterThan(address: number): number[] {
    return this.addresses.slice(0, Math.max(0, this.addresses.indexOf(address)));
  }

  /** An address better than the present one that has answered for long enough; `null`: stay. */
  better(present: number, nowMs: number): number | null {
    const hasAnswered = (address: number): boolean => {
      const sinceMs = this.#entries.get(address)?.reachableSinceMs ?? null;
      return sinceMs !== null && nowMs - sinceMs >= this.#options.returnAfterMs;
    };
    return this.betterThan(present).find(hasAnswered) ?? null;
  }

  /** We go back to it: it may be tried at once. */
  chosen(address: number): void {
    const entry = this.#entries.get(address);
    if (entry !== undefined) entry.dueMs = Number.NEGATIVE_INFINITY;
  }

  #newEntry(): Entry {
    return {
      delays: this.#options.newDelaysMs(),
      ...{ dueMs: Number.NEGATIVE_INFINITY, lastError: null, failedMs: null },
      ...{ heard: null, reachableSinceMs: null },
    };
  }
}

function settle(entry: Entry): void {
  entry.lastError = null;
  entry.failedMs = null;
}
