/** The chain of streams of one store. Values, changed by making new ones. */
import { invariant } from '../domain/errors.ts';
import type { PreviousStream, StreamInfo } from '../domain/stream.ts';
import type { StreamClock, StreamEnded } from './ring.ts';
import { lastOf, type SegmentFacts } from './segment.ts';

/** More streams than this and the oldest of which nothing is held or to be told is forgotten. */
export const STREAMS_MAX = 1000;

export interface StreamRecord {
  /** Place in the chain, ascending; never used twice. */
  readonly ordinal: number;
  readonly info: StreamInfo;
  /** Bound on what a crash of this run can lose, in samples. */
  readonly lostAtMost: number;
  readonly ackedThrough: number;
  /** A Kernel has the stream and its place in the chain durably. */
  readonly isKnown: boolean;
  readonly durableThrough: number;
  /** Highest sequence that went with an evicted segment. */
  readonly evictedThrough: number;
  /** Lowest number that is certainly not given yet, as far as the ring was told. */
  readonly nextSequence: number;
  readonly aliveUntilUs: number;
  readonly ended: StreamEnded | null;
  /** As of the alive mark that `aliveUntilUs` is from, this run's or the one before. */
  readonly clock?: StreamClock;
  /**
   * Of a run that stands by, as of the last alive mark: no number above this one is given before another mark
   * says so. `null`, or not given: it is active.
   */
  readonly standbyThrough?: number | null;
}

/** What a new run says about the one before it. */
export function previousOf(record: StreamRecord | undefined): PreviousStream | null {
  if (record === undefined) return null;
  const { ended } = record;
  invariant(ended !== null, 'a stream ends before the next one starts');
  return {
    streamId: record.info.streamId,
    lastDurableSequence: ended.lastSequence,
    endedCleanly: ended.cleanly,
    aliveUntilUs: ended.atUs,
    lostAtMost: ended.cleanly ? 0 : record.lostAtMost,
  };
}

/**
 * A stream that was running when the store was last used ended there: cut off, or cleanly where it stood by
 * and so gave no numbers. Where more is durable or acknowledged than its mark says, the mark that it was
 * active again did not reach the disk.
 */
export function cutOff(record: StreamRecord): StreamRecord {
  if (record.ended !== null) return record;
  const { durableThrough, ackedThrough, standbyThrough = null, aliveUntilUs: atUs } = record;
  const isStandby = standbyThrough !== null && Math.max(durableThrough, ackedThrough) <= standbyThrough;
  const lastSequence = isStandby ? standbyThrough : durableThrough;
  return { ...record, ended: { cleanly: isStandby, lastSequence, atUs } };
}

/** The record with what a segment holds of the stream. */
export function withStored(record: StreamRecord, facts: SegmentFacts): StreamRecord {
  const held = facts.runs.filter((run) => run.streamId === record.info.streamId).map(lastOf);
  const durableThrough = Math.max(record.durableThrough, ...held);
  return { ...record, durableThrough, nextSequence: Math.max(record.nextSequence, durableThrough + 1) };
}

/** The chain without the streams that nobody needs to hear of again; the newest two always stay. */
export function withoutForgotten(
  streams: readonly StreamRecord[],
  isInUse: (streamId: string) => boolean,
): readonly StreamRecord[] {
  let surplus = streams.length - STREAMS_MAX;
  const left = streams.filter((record, at) => {
    if (at >= streams.length - 2 || isInUse(record.info.streamId)) return true;
    if (!record.isKnown && surplus <= 0) return true;
    surplus -= 1;
    return false;
  });
  return left.length === streams.length ? streams : left;
}

/** Rule 1 of README.md for one stream. */
export function assertWatermarks(record: StreamRecord, isDurableBeforeSent: boolean): void {
  const { ackedThrough, durableThrough, evictedThrough, nextSequence } = record;
  invariant(evictedThrough <= durableThrough, () => `evicted ${evictedThrough} ≤ durable ${durableThrough}`);
  invariant(durableThrough < nextSequence, () => `durable ${durableThrough} < next ${nextSequence}`);
  if (record.ended === null) {
    invariant(ackedThrough < nextSequence, () => `acked ${ackedThrough} < next ${nextSequence}`);
    invariant(
      !isDurableBeforeSent || ackedThrough <= durableThrough,
      () => `acked ${ackedThrough} ≤ durable ${durableThrough}`,
    );
  }
}
