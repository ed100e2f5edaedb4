export interface LinkHealthOptions {
  /** A session that lasted this long was a stable one. */
  readonly stableAfterMs: number;
  /** Longest time for which a new session is watched before it counts. */
  readonly holdMaxMs: number;
}

/** So many short sessions in a row are bad luck; from here on the link flaps. */
const SHORT_SESSIONS_FORGIVEN = 1;
/** Hold after the first short session that is not forgiven; it doubles with each further one. */
const HOLD_MIN_MS = 2000;

/**
 * Hysteresis against a link that comes and goes: after short sessions a new one is held, growing from 2 s
 * to `holdMaxMs`. While it is held the uplink stays in `outage`: new blocks go to the ring, which delivers
 * what it holds all the same. One stable session, and the link is trusted at once again.
 */
export class LinkHealth {
  readonly #options: LinkHealthOptions;
  #shortSessions = 0;
  #beganMs: number | null = null;

  constructor(options: LinkHealthOptions) {
    this.#options = options;
  }

  /** Sessions in a row that ended before they were stable. */
  get shortSessions(): number {
    return this.#shortSessions;
  }

  /** A session began. Returns for how long it is held, milliseconds; 0: it counts at once. */
  began(nowMs: number): number {
    this.#beganMs = nowMs;
    return this.#holdMs;
  }

  /** It ended; `isPlanned`: we ended it, which says nothing about the link. True: it was stable. */
  ended(nowMs: number, isPlanned: boolean): boolean {
    const lastedMs = this.#beganMs === null ? 0 : nowMs - this.#beganMs;
    this.#beganMs = null;
    const isStable = lastedMs >= this.#options.stableAfterMs;
    if (isStable) this.#shortSessions = 0;
    else if (!isPlanned) this.#shortSessions += 1;
    return isStable;
  }

  /** How long the present session is still held, milliseconds; 0 if it is not. */
  heldForMs(nowMs: number): number {
    return this.#beganMs === null ? 0 : Math.max(0, this.#beganMs + this.#holdMs - nowMs);
  }

  get #holdMs(): number {
    const beyond = this.#shortSessions - SHORT_SESSIONS_FORGIVEN;
    if (beyond <= 0) return 0;
    return Math.min(this.#options.holdMaxMs, HOLD_MIN_MS * 2 ** Math.min(20, beyond - 1));
  }
}
