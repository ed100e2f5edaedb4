import { joinTouching } from '../domain/coverage.ts';
import type { RingFacts } from './facts.ts';
import type { ReplayRequest } from './replays.ts';
import { firstOf, lastOf } from './segment.ts';

/** What of a ring is meant; everything that is not given is all of it. */
export interface ReplaySelection {
  /** The beginning of the id is enough. */
  readonly stream?: string;
  readonly first?: number;
  readonly last?: number;
  /** Integer µs, half-open. */
  readonly fromUs?: number;
  readonly toUs?: number;
}

/** What a ring holds of a selection, by stream. */
export function replaysOf(facts: RingFacts, selection: ReplaySelection): ReplayRequest[] {
  const { stream = '', fromUs, toUs } = selection;
  const time = { ...(fromUs === undefined ? {} : { fromUs }), ...(toUs === undefined ? {} : { toUs }) };
  const runs = facts.segments
    .flatMap((segment) => segment.runs)
    .filter(
      (run) =>
        run.streamId.startsWith(stream) &&
        run.toUs >= (fromUs ?? 0) &&
        run.fromUs < (toUs ?? Number.POSITIVE_INFINITY),
    );
  const streamIds = [...new Set(runs.map(({ streamId }) => streamId))];
  return streamIds.flatMap((streamId) => {
    const own = runs.filter((run) => run.streamId === streamId);
    const ranges = joinTouching(own.map((run) => ({ first: firstOf(run), last: lastOf(run) })));
    return ranges.flatMap((range) => {
      const first = Math.max(range.first, selection.first ?? 1);
      const last = Math.min(range.last, selection.last ?? Number.MAX_SAFE_INTEGER);
      return first > last ? [] : [{ streamId, first, last, ...time }];
    });
  });
}
