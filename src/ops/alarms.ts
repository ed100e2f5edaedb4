import type { Log } from '../world/log.ts';

/**
 * Conditions of an agent that somebody should know of, and how long each must hold to be raised and be gone
 * to be cleared, in ms. The codes are stable; monitoring may depend on them.
 */
export const ALARMS = {
  /** A power cut could lose more than `powerCutLossMax`. */
  'power-cut-bound': { raiseAfterMs: 0, clearAfterMs: 60_000 },
  /** The disk takes no write: what is in memory is lost with the process. */
  'ring-not-durable': { raiseAfterMs: 0, clearAfterMs: 10_000 },
  /** Memory and disk take nothing more, and samples are not taken. */
  overload: { raiseAfterMs: 0, clearAfterMs: 10_000 },
  /** Much of the ring waits to be delivered. */
  'buffer-filling': { raiseAfterMs: 0, clearAfterMs: 60_000 },
  /** An outage that goes on like this fills the ring in a few hours. */
  'buffer-full-soon': { raiseAfterMs: 60_000, clearAfterMs: 60_000 },
  /** The full ring gave up samples that nobody has, a short while ago. */
  'losing-samples': { raiseAfterMs: 0, clearAfterMs: 600_000 },
  /** What was damaged fills the room for it, so that the next damage pushes it out. */
  'quarantine-full': { raiseAfterMs: 0, clearAfterMs: 60_000 },
  /** No session with any Kernel. */
  'kernel-unreachable': { raiseAfterMs: 60_000, clearAfterMs: 0 },
  /** There is a session, and its Kernel acknowledges nothing of what waits. */
  'kernel-acknowledges-nothing': { raiseAfterMs: 60_000, clearAfterMs: 0 },
  /** The own certificate ends soon, is not usable, or does not speak for all that runs here. */
  certificate: { raiseAfterMs: 0, clearAfterMs: 0 },
  /** Nothing vouches for the times that are stamped. */
  'clock-uncertain': { raiseAfterMs: 60_000, clearAfterMs: 0 },
  /** The Kernel's clock and what is stamped differ: one of the two is wrong. */
  'clock-off': { raiseAfterMs: 10_000, clearAfterMs: 10_000 },
  /** A line of the plant is not connected. */
  'line-down': { raiseAfterMs: 60_000, clearAfterMs: 0 },
  /** Nothing has proven for a long time that the standby could open a line. */
  'standby-untested': { raiseAfterMs: 0, clearAfterMs: 0 },
  /** The standby could not open a line when it tried. */
  'standby-unfit': { raiseAfterMs: 0, clearAfterMs: 0 },
  /** The other instance is not heard on any network. */
  'peer-silent': { raiseAfterMs: 10_000, clearAfterMs: 10_000 },
  /** Active with neither a lease nor the other instance: both may be active. */
  isolated: { raiseAfterMs: 5000, clearAfterMs: 10_000 },
  /** The disk refused the term: a restart forgets it. */
  'term-not-durable': { raiseAfterMs: 0, clearAfterMs: 0 },
  /** The two instances run different site files, or program versions. */
  'site-hash-differs': { raiseAfterMs: 60_000, clearAfterMs: 0 },
  'program-version-differs': { raiseAfterMs: 600_000, clearAfterMs: 0 },
} as const satisfies Record<string, { readonly raiseAfterMs: number; readonly clearAfterMs: number }>;

export type AlarmCode = keyof typeof ALARMS;

/** More alarms than this at a time are not kept; the site file bounds them far below. */
const ALARMS_MAX = 1000;
/** Alarms that are over, kept to be shown. */
const PAST_MAX = 32;

/** What was found of one condition. */
export interface Finding {
  readonly code: AlarmCode;
  /** What it is about: a process, a store, a line. */
  readonly subject: string;
  /** `keep`: between the thresholds: an alarm stands on and none is raised. Not found at all is `clear`. */
  readonly level: 'raise' | 'keep' | 'clear';
  /** For a person. */
  readonly text: string;
}

export interface Alarm {
  readonly code: AlarmCode;
  readonly subject: string;
  /** What was found when it was looked at last. */
  readonly text: string;
  /** Wall times, integer µs. */
  readonly raisedAtUs: number;
  readonly clearedAtUs: number | null;
}

interface Watched {
  readonly code: AlarmCode;
  readonly subject: string;
  text: string;
  /** Wall time at which it was raised; `null`: it is only about to be. */
  raisedAtUs: number | null;
  /** Monotonic times since which it holds, and since which it does not. */
  holdsSinceMs: number | null;
  goneSinceMs: number | null;
}

/** The alarms that stand, each told to the log once when it comes and once when it goes. */
export class AlarmTable {
  readonly #log: Log;
  readonly #watched = new Map<string, Watched>();
  readonly #past: Alarm[] = [];

  constructor(log: Log) {
    this.#log = log;
  }

  /** By the time at which they were raised. */
  get standing(): Alarm[] {
    return [...this.#watched.values()]
      .flatMap(({ code, subject, text, raisedAtUs }) =>
        raisedAtUs === null ? [] : [{ code, subject, text, raisedAtUs, clearedAtUs: null }],
      )
      .sort((a, b) => a.raisedAtUs - b.raisedAtUs);
  }

  /** The last ones that are over, oldest first. */
  get past(): readonly Alarm[] {
    return this.#past;
  }

  /** Takes what was found of all conditions at one moment. */
  update(findings: readonly Finding[], now: { readonly monotonicMs: number; readonly wallUs: number }): void {
    const found = new Map(findings.map((finding) => [keyOf(finding), finding]));
    for (const finding of findings) {
      if (finding.level !== 'raise' || this.#watched.has(keyOf(finding))) continue;
      if (this.#watched.size >= ALARMS_MAX) continue;
      const { code, subject, text } = finding;
      const since = { raisedAtUs: null, holdsSinceMs: null, goneSinceMs: null };
      this.#watched.set(keyOf(finding), { code, subject, text, ...since });
    }
    for (const [key, watched] of this.#watched) {
      const finding = found.get(key);
      watched.text = finding === undefined || finding.level === 'clear' ? watched.text : finding.text;
      this.#follow(watched, finding?.level ?? 'clear', now.monotonicMs);
      const { raiseAfterMs, clearAfterMs } = ALARMS[watched.code];
      const { holdsSinceMs, goneSinceMs } = watched;
      if (watched.raisedAtUs === null) {
        if (holdsSinceMs === null) this.#watched.delete(key);
        else if (now.monotonicMs - holdsSinceMs >= raiseAfterMs) this.#raise(watched, now.wallUs);
      } else if (goneSinceMs !== null && now.monotonicMs - goneSinceMs >= clearAfterMs) {
        this.#watched.delete(key);
        this.#clear(watched, { raisedAtUs: watched.raisedAtUs, clearedAtUs: now.wallUs });
      }
    }
  }

  #follow(watched: Watched, level: Finding['level'], nowMs: number): void {
    if (level === 'raise') watched.holdsSinceMs ??= nowMs;
    else watched.holdsSinceMs = null;
    if (level === 'clear') watched.goneSinceMs ??= nowMs;
    else watched.goneSinceMs = null;
  }

  #raise(watched: Watched, wallUs: number): void {
    watched.raisedAtUs = wallUs;
    const { code, subject, text } = watched;
    this.#log.warn({ alarm: code, subject }, `alarm: ${text}`);
  }

  #clear({ code, subject, text }: Watched, times: Pick<Alarm, 'raisedAtUs' | 'clearedAtUs'>): void {
    this.#past.push({ code, subject, text, ...times });
    if (this.#past.length > PAST_MAX) this.#past.shift();
    this.#log.info({ alarm: code, subject }, 'alarm is over');
  }
}

function keyOf({ code, subject }: { readonly code: AlarmCode; readonly subject: string }): string {
  return `${code} ${subject}`;
}
