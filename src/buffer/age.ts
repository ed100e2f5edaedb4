import type { Clock } from '../world/clock.ts';
import type { Appender } from './append.ts';
import type { RingCore } from './core.ts';
import type { MetaState } from './meta.ts';
import { isAcknowledged, type SegmentFacts } from './segment.ts';

/** The open segment is sealed when its oldest block has this share of the limit: then it can go in time. */
const SEALED_AT_SHARE = 0.1;
const ENDLESS = Number.POSITIVE_INFINITY;

export interface AgeLimit {
  /** Of what no Kernel acknowledged; not given: it stays as long as there is room. */
  readonly maxAgeUnackedMs?: number;
  /** Of what was acknowledged and is kept all the same; not given: likewise. */
  readonly maxAgeAcknowledgedMs?: number;
  /** Nothing vouches for the time now: then nothing ages. */
  readonly isClockUncertain: () => boolean;
}

/**
 * Lets go what is too old. Age is run time: it is counted while the program runs and its clock is known, and
 * outlives restarts with the alive marks. A segment goes as a whole, when the newest of it is too old. What
 * no Kernel acknowledged is then a loss, a gap `evicted`; what was acknowledged is none.
 */
export class Ageing {
  readonly #core: RingCore;
  readonly #appender: Pick<Appender, 'startSegment'>;
  readonly #limit: AgeLimit;
  readonly #clock: Clock;
  #countedMs: number;

  constructor(core: RingCore, appender: Pick<Appender, 'startSegment'>, limit: AgeLimit) {
    this.#core = core;
    this.#appender = appender;
    this.#limit = limit;
    this.#clock = core.setup.options.clock;
    this.#countedMs = this.#clock.monotonicMs();
  }

  /** The state with the time since the last mark counted, and segments that are new to it noted. */
  counted(state: MetaState): MetaState {
    const nowMs = this.#clock.monotonicMs();
    const elapsedMs = this.#limit.isClockUncertain() ? 0 : nowMs - this.#countedMs;
    this.#countedMs = nowMs;
    const runMs = Math.round((state.totals.runMs ?? 0) + elapsedMs);
    const segments = state.segments.map((each) => noted(each, runMs));
    return { ...state, segments, totals: { ...state.totals, runMs } };
  }

  /** Behind an alive mark. Call within `writing`. @throws KomError KOM_STORE_WRITE */
  async letGo(): Promise<void> {
    const core = this.#core;
    const { maxAgeUnackedMs = ENDLESS, maxAgeAcknowledgedMs = ENDLESS } = this.#limit;
    const runMs = core.setup.meta.state.totals.runMs ?? 0;
    const victims = core.segments.filter((each) => {
      const maxAgeMs = isAcknowledged(each, core.ackedThrough) ? maxAgeAcknowledgedMs : maxAgeUnackedMs;
      return each.state === 'sealed' && runMs - (each.sealedAtRunMs ?? runMs) > maxAgeMs;
    });
    if (victims.length > 0) {
      await core.retire(victims, (state) => state);
      await core.sweep();
    }
    const openedAtRunMs = core.open?.filledFromRunMs ?? runMs;
    const shortestMs = Math.min(maxAgeUnackedMs, maxAgeAcknowledgedMs);
    if (runMs - openedAtRunMs <= shortestMs * SEALED_AT_SHARE) return;
    await this.#appender.startSegment({ blockBytes: 0, isAhead: false });
  }
}

/** When the first block of an open segment was seen, and when it was seen that one is sealed. */
function noted(segment: SegmentFacts, runMs: number): SegmentFacts {
  const { state, blocks } = segment;
  if (state === 'open' && blocks > 0 && segment.filledFromRunMs === undefined) {
    return { ...segment, filledFromRunMs: runMs };
  }
  if (state === 'sealed' && segment.sealedAtRunMs === undefined) return { ...segment, sealedAtRunMs: runMs };
  return segment;
}
