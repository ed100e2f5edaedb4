import { joinTouching } from '../domain/coverage.ts';
import { knownCounts } from '../domain/gap.ts';
import type { RingCore } from './core.ts';
import type { RingStat, RingStream } from './ring.ts';
import { isAcknowledged, rangesAbove, type SegmentFacts, unacknowledgedSamples } from './segment.ts';

/** Streams of the ring with what is held of each. */
export function ringStreams(core: RingCore): RingStream[] {
  const runs = Map.groupBy(
    core.segments.flatMap((segment) => segment.runs),
    (run) => run.streamId,
  );
  return core.streams.map(({ info, ackedThrough, durableThrough, ended, isKnown, clock }) => {
    const ranges = runs.get(info.streamId)?.flatMap((run) => run.ranges) ?? [];
    const held = joinTouching(ranges.toSorted((a, b) => a.first - b.first));
    return { info, held, ackedThrough, durableThrough, ended, isKnown, ...(clock && { clock }) };
  });
}

/**
 * Whether something held is not acknowledged, of another stream than `except`: asked with every heartbeat, so
 * without a look at the whole.
 */
export function hasUnacknowledged({ open, setup, ackedThrough }: RingCore, except?: string): boolean {
  const through = (streamId: string) =>
    streamId === except ? Number.POSITIVE_INFINITY : ackedThrough(streamId);
  const waits = (segment: SegmentFacts) => segment.state !== 'doomed' && !isAcknowledged(segment, through);
  if (open !== null && waits(open)) return true;
  return setup.meta.state.segments.some((each) => each.number !== open?.number && waits(each));
}

/** The ring in figures. */
export function ringStat(core: RingCore): RingStat {
  const { segments, setup, ackedThrough } = core;
  const sum = (of: (segment: (typeof segments)[number]) => number) =>
    segments.reduce((total, segment) => total + of(segment), 0);
  const runs = segments.flatMap((segment) => segment.runs);
  const waiting = waitingOf(core);
  const least = (of: typeof runs) => (of.length === 0 ? null : Math.min(...of.map((run) => run.fromUs)));
  return {
    capacityBytes: setup.options.capacityBytes,
    diskBytes: sum((segment) => segment.bytes) + core.doomedBytes,
    quarantineBytes: setup.quarantine.bytes,
    segments: segments.length,
    blocks: sum((segment) => segment.blocks),
    samples: sum((segment) => segment.samples),
    unacknowledgedBytes: waiting.reduce((total, segment) => total + segment.bytes, 0),
    unacknowledgedSamples: sum((segment) => unacknowledgedSamples(segment, ackedThrough)),
    oldestUs: least(runs),
    newestUs: runs.length === 0 ? null : Math.max(...runs.map((run) => run.toUs)),
    oldestUnacknowledgedUs: oldestOf(core, waiting),
    lostByReason: knownCounts(setup.meta.state.totals.lost),
    slowestSyncMs: setup.syncTimes.slowestMs(),
    writtenBytes: setup.syncTimes.writtenBytes,
    state: core.isDegraded ? 'degraded' : 'healthy',
    lastError: core.lastError,
  };
}

/** Oldest source time that is not acknowledged, integer µs. */
export function oldestUnacknowledgedUs(core: RingCore): number | null {
  return oldestOf(core, waitingOf(core));
}

function waitingOf({ segments, ackedThrough }: RingCore): SegmentFacts[] {
  return segments.filter((segment) => !isAcknowledged(segment, ackedThrough));
}

/** Of the running stream by its blocks, of former ones by what is left of them in a segment. */
function oldestOf({ current, times, ackedThrough }: RingCore, waiting: readonly SegmentFacts[]) {
  const left = waiting.flatMap(({ runs }) =>
    runs.flatMap((run) => {
      const [next] = rangesAbove(run, ackedThrough(run.streamId));
      if (next === undefined) return [];
      const isRunning = run.streamId === current.info.streamId;
      return (isRunning ? times.oldestFrom(next.first) : null) ?? run.fromUs;
    }),
  );
  return left.length === 0 ? null : Math.min(...left);
}
