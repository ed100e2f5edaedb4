import type { Clock } from '../world/clock.ts';
import type { Appender } from './append.ts';
import type { RingCore } from './core.ts';
import type { MetaState } from './meta.ts';
import { isAcknowledged, type SegmentFacts } from './segment.ts';

/** The open segment is sealed when its oldest block has this share of the limit: then it can go in time. */
const SEALED_AT_SHARE = 0.1;

export interface AgeLimit {
  readonly maxAgeMs: number;
  /** Nothing vouches for the time now: then nothing ages. */
  readonly isClockUncertain: () => boolean;
}

/**
 * Lets go what no Kernel acknowledged for too long. Age is run time: it is counted while the program runs
 * and its clock is known, and outlives restarts with the alive marks. A segment goes as a whole, when the
 * newest of it is too old; its loss is a gap `evicted`.
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
    const { maxAgeMs } = this.#limit;
    const runMs = core.setup.meta.state.totals.runMs ?? 0;
    const victims = core.segments.filter(
      (each) =>
        each.state === 'sealed' &&
        runMs - (each.sealedAtRunMs ?? runMs) > maxAgeMs &&
        !isAcknowledged(each, core.ackedThrough),
    );
    if (victims.length > 0) await core.retire(victims, (state) => state);
    const openedAtRunMs = core.open?.filledFromRunMs ?? runMs;
    if (runMs - openedAtRunMs <= maxAgeMs * SEALED_AT_SHARE) return;
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
