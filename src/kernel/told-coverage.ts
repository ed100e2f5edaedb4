import { type Coverage, contiguousEnd, heldBeyond } from '../domain/coverage.ts';
import type { StreamCoverage } from '../uplink/messages.ts';

/** A stream with what is settled of it. */
export interface CoveredStream {
  readonly streamId: string;
  readonly coverage: Coverage;
}

/**
 * Coverage as an agent is told it, with at most so many ranges beyond holes of all streams together. What is
 * left out comes again and is trimmed.
 */
export function toldCoverage(streams: readonly CoveredStream[], rangesMax: number): StreamCoverage[] {
  let left = rangesMax;
  return streams.map(({ streamId, coverage }) => {
    const held = heldBeyond(coverage).slice(0, left);
    left -= held.length;
    return { streamId, throughSequence: contiguousEnd(coverage), held };
  });
}
