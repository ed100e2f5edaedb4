import { joinTouching, type SequenceRange } from '../domain/coverage.ts';
import { knownEnd } from '../domain/gap.ts';
import type { NamedStore } from './buffer-handlers.ts';

/** Streams that one answer tells of; the newest ones. */
const STREAMS_MAX = 100;

/** How deep a ring reaches: what somebody may ask for again. */
export interface RingDepth {
  readonly part: NamedStore['part'];
  readonly oldestUs: number | null;
  readonly newestUs: number | null;
  readonly samples: number;
  readonly unacknowledgedSamples: number;
  readonly streams: readonly {
    readonly streamId: string;
    readonly held: readonly SequenceRange[];
    /** `null`: all, and nobody knows how far it ran, because it was cut off. */
    readonly ackedThrough: number | null;
  }[];
}

export function depthOf({
  part,
  store,
}: Pick<NamedStore, 'part'> & { readonly store: Pick<NamedStore['store'], 'ring'> }): RingDepth {
  const { oldestUs, newestUs, samples, unacknowledgedSamples } = store.ring.stat();
  const streams = store.ring
    .streams()
    .filter(({ held }) => held.length > 0)
    .slice(-STREAMS_MAX)
    .map(({ info, held, ackedThrough }) => ({
      streamId: info.streamId,
      held: joinTouching(held),
      ackedThrough: knownEnd(ackedThrough),
    }));
  return { part, oldestUs, newestUs, samples, unacknowledgedSamples, streams };
}
