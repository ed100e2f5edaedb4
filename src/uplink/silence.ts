/** Pace of a session: how often each side says something, and how long it may be silent. */
export interface Pace {
  readonly heartbeatMs: number;
  readonly silenceMaxMs: number;
}

/** Of a side that does not say what it wants. */
const UNSAID: Pace = { heartbeatMs: 500, silenceMaxMs: 10_000 };
const HEARTBEAT_MS_MIN = 50;
const HEARTBEAT_MS_MAX = 60_000;
const SILENCE_MS_MAX = 600_000;
/** Silence is looked at so many times within its limit, so a dead peer is noticed that much later at most. */
const CHECKS = 12;

/** The pace that a Kernel grants: what the agent asks for, within bounds that keep a session possible. */
export function agreedPace(asked: Pace): Pace {
  if (asked.heartbeatMs === 0 || asked.silenceMaxMs === 0) return UNSAID;
  const heartbeatMs = Math.min(HEARTBEAT_MS_MAX, Math.max(HEARTBEAT_MS_MIN, asked.heartbeatMs));
  const silenceMaxMs = Math.min(SILENCE_MS_MAX, Math.max(2 * heartbeatMs, asked.silenceMaxMs));
  return { heartbeatMs, silenceMaxMs };
}

/** How often `SilenceWatch.check` is to be called, milliseconds. */
export function silenceCheckMs(silenceMaxMs: number): number {
  return silenceMaxMs / CHECKS;
}

/**
 * Tells a dead peer from a standstill of this process: while we did not run we heard nothing, and what came
 * meanwhile is still to be read. The time by which a check comes late is therefore no silence.
 */
export class SilenceWatch {
  readonly #silenceMaxMs: number;
  readonly #checkMs: number;
  #checkedMs: number;
  #lastSilentMs = 0;
  #forgivenMs = 0;

  constructor(silenceMaxMs: number, nowMs: number) {
    this.#silenceMaxMs = silenceMaxMs;
    this.#checkMs = silenceCheckMs(silenceMaxMs);
    this.#checkedMs = nowMs;
  }

  /** True: the peer said nothing for longer than it may. `silentMs`: since the last byte of it. */
  isDead(nowMs: number, silentMs: number): boolean {
    if (silentMs < this.#lastSilentMs) this.#forgivenMs = 0;
    this.#lastSilentMs = silentMs;
    const lateMs = nowMs - this.#checkedMs - this.#checkMs;
    this.#checkedMs = nowMs;
    // Timers are a little late on any machine; that much is not forgiven, so it cannot add up.
    if (lateMs > this.#checkMs) this.#forgivenMs += lateMs;
    return silentMs - this.#forgivenMs > this.#silenceMaxMs;
  }
}
