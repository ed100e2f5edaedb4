import { type Coverage, contiguousEnd } from '../domain/coverage.ts';
import { CONCLUDED_REASONS, OPEN_END, type SequenceGap } from '../domain/gap.ts';
import { FIRST_SEQUENCE } from '../domain/stream.ts';
import type { Hello, StreamState } from '../uplink/messages.ts';
import type { ArchivedStream, ArchiveTransaction, StreamOrigin } from '../world/archive.ts';

/**
 * Predecessors that a Hello which has a part of a chain neither names nor ever named: they are told later,
 * and what became of them with them.
 */
export function untoldPredecessors(
  { streams, isPartial }: Pick<Hello, 'streams' | 'isPartial'>,
  isKnown: (streamId: string) => boolean,
): ReadonlySet<string> {
  if (isPartial !== true) return new Set();
  const named = new Set(streams.map(({ streamId }) => streamId));
  const predecessors = streams.flatMap(({ previous }) => previous?.streamId ?? []);
  return new Set(predecessors.filter((streamId) => !named.has(streamId) && !isKnown(streamId)));
}

/** The streams of a Hello, each with its predecessor where the agent does not hold that one any more. */
export function streamsOf(
  states: readonly StreamState[],
  origin: StreamOrigin,
): ArchiveTransaction['streams'] {
  const named = new Set(states.map(({ streamId }) => streamId));
  return states.flatMap(({ streamId, bootId, startedAtUs, previous }) => {
    const stream = { streamId, bootId, startedAtUs, previous, ...origin };
    if (previous === null || named.has(previous.streamId)) return [stream];
    const forgotten = {
      streamId: previous.streamId,
      bootId: '0'.repeat(32),
      startedAtUs: previous.aliveUntilUs,
      previous: null,
      ...origin,
    };
    return [forgotten, stream];
  });
}

/**
 * What the unclean ends of a chain lost: of each stream that was cut off, everything behind its last durable
 * number. What is missing up to there is the store's to declare, which knows when and why it was lost. The
 * archive takes a gap only where it has nothing, so it begins at its own coverage.
 * `observedUntilUs` tells how far a stream is known to be complete at the Kernel, 0 if it is not known.
 */
export function crashGaps(
  { streams, aheadUs, isPartial }: Omit<SaidChain, 'wallUs'>,
  observedUntilUs: (streamId: string) => number,
): SequenceGap[] {
  const cutOffs = (states: readonly StreamState[]): CutOff[] => [
    ...toldCutOffs(states),
    ...(isPartial === true ? [] : orphans(states)),
  ];
  const observedUs = cutOffs(streams).map(({ streamId, aliveUntilUs }) =>
    Math.max(aliveUntilUs, observedUntilUs(streamId)),
  );
  return cutOffs(datedAfter(Math.max(0, ...observedUs), streams, aheadUs)).map((cut): SequenceGap => {
    const { streamId, lastDurableSequence, nextStartUs: toUs, lostAtMost: countAtMost } = cut;
    const firstSequence = lastDurableSequence + 1;
    const numbers = { streamId, firstSequence, lastSequence: OPEN_END, countAtMost };
    const gap = { ...numbers, reason: 'crash', fromUs: cut.aliveUntilUs, toUs } as const;
    return behindObserved(gap, observedUntilUs(streamId));
  });
}

/** A gap does not reach back into a time of which everything is known to be here. */
export function behindObserved(gap: SequenceGap, observedUntilUs: number): SequenceGap {
  return { ...gap, fromUs: Math.min(Math.max(gap.fromUs, observedUntilUs), gap.toUs) };
}

interface CutOff {
  readonly streamId: string;
  readonly lastDurableSequence: number;
  readonly aliveUntilUs: number;
  readonly nextStartUs: number;
  readonly lostAtMost: number;
}

/** The streams that ended uncleanly, as their successors tell. */
function toldCutOffs(states: readonly StreamState[]): CutOff[] {
  return states.flatMap(({ previous, startedAtUs }): CutOff[] => {
    if (previous === null || previous.endedCleanly) return [];
    return [{ ...previous, nextStartUs: startedAtUs }];
  });
}

/**
 * The streams without a successor, because the store lost part of its chain. Of these nobody knows how much
 * there was.
 */
function orphans(states: readonly StreamState[]): CutOff[] {
  const named = new Set(states.map(({ previous }) => previous?.streamId));
  const nextStartUs = states.at(-1)?.startedAtUs ?? 0;
  const alone = states.filter(
    ({ streamId, running, endedAtUs }) => !running && endedAtUs === null && !named.has(streamId),
  );
  return alone.map(({ streamId, startedAtUs: aliveUntilUs, producedTo: lastDurableSequence }) => {
    return { streamId, lastDurableSequence, aliveUntilUs, nextStartUs, lostAtMost: OPEN_END };
  });
}

/**
 * What a store lost with everything it knew: streams of the same instance that the archive knows, that are
 * not complete there, and that the chain does not name any more. Nobody is left who could say how many
 * numbers of an unended one there were.
 */
export function storeLostGaps(
  known: readonly ArchivedStream[],
  { streams, wallUs, aheadUs, isPartial }: SaidChain,
  observedUntilUs: (streamId: string, storedUs: number) => number,
): SequenceGap[] {
  if (isPartial === true) return [];
  const named = new Set(streams.flatMap(({ streamId, previous }) => [streamId, previous?.streamId]));
  // A Hello that was long on its way does not know of what came after it. What began before it was said and
  // is not named runs elsewhere, with a copy of the store.
  const newer = descendantsOf(streams, known);
  const isLater = ({ streamId, startedAtUs }: ArchivedStream): boolean =>
    newer.has(streamId) && startedAtUs >= wallUs;
  const omitted = known.filter((stream) => !isLater(stream) && !named.has(stream.streamId));
  const observedUs = omitted.map((each) => observedUntilUs(each.streamId, each.observedUntilUs));
  const states = datedAfter(Math.max(0, ...observedUs), streams, aheadUs);
  const running = states.at(-1);
  if (running === undefined) return [];
  return omitted.flatMap((stream): SequenceGap[] => {
    const { streamId, coverage } = stream;
    const fromUs = knownUntilUs(stream, observedUntilUs(streamId, stream.observedUntilUs));
    const lastSequence = stream.endedSequence ?? OPEN_END;
    const end = contiguousEnd(coverage);
    if (end >= lastSequence) {
      const toUs =
        end === OPEN_END
          ? null
          : newChainUs(fromUs, { others: omitted.filter((each) => each !== stream), states });
      return toUs === null ? [] : [pauseBehind(streamId, { afterSequence: end, fromUs, toUs })];
    }
    const span = { fromUs: Math.min(fromUs, running.startedAtUs), toUs: running.startedAtUs };
    const firstSequence = FIRST_SEQUENCE;
    return [
      { streamId, firstSequence, lastSequence, reason: 'store-lost', ...span, countAtMost: lastSequence },
    ];
  });
}

/** A chain, as a Hello said it. */
interface SaidChain extends Pick<Hello, 'streams' | 'wallUs' | 'isPartial'> {
  /** By how much the Kernel's clock was ahead of the agent's then, µs. */
  readonly aheadUs: number;
}

/**
 * The streams of a chain whose agent says that it started before the end of what was observed of earlier
 * ones: its clock is wrong, a machine without one has lost the time with its store (or a device's, which its
 * store then took for its own). When it started is told by the Kernel's.
 */
function datedAfter(
  observedUs: number,
  states: readonly StreamState[],
  aheadUs: number,
): readonly StreamState[] {
  const running = states.at(-1);
  if (running === undefined || running.startedAtUs >= observedUs || aheadUs <= 0) return states;
  return states.map((state) =>
    state.bootId === running.bootId ? { ...state, startedAtUs: state.startedAtUs + aheadUs } : state,
  );
}

/**
 * How far a stream is known to be observed. One of which nothing is known yet has not even told of the pause
 * before it.
 */
function knownUntilUs({ startedAtUs, previous }: ArchivedStream, untilUs: number): number {
  const isSilent = untilUs <= startedAtUs && previous !== null;
  return isSilent ? Math.min(untilUs, previous.aliveUntilUs) : untilUs;
}

/**
 * When a chain began that knows of none before it, after a stream that ended and is complete: the store
 * lost what it knew while nothing ran, so it does not know of the pause. `null`: there is no such chain, or
 * something else ran in between, whose loss tells of it.
 */
function newChainUs(
  endedUs: number,
  { others, states }: { others: readonly ArchivedStream[]; states: readonly StreamState[] },
): number | null {
  if (others.some(({ startedAtUs }) => startedAtUs >= endedUs)) return null;
  const beginnings = states.filter(({ previous, startedAtUs }) => previous === null && startedAtUs > endedUs);
  return beginnings.length === 0 ? null : Math.min(...beginnings.map(({ startedAtUs }) => startedAtUs));
}

/** Behind the end of a stream there are no numbers, but there is a time that nobody observed. */
function pauseBehind(
  streamId: string,
  { afterSequence, ...span }: { afterSequence: number; fromUs: number; toUs: number },
): SequenceGap {
  const numbers = { firstSequence: afterSequence + 1, lastSequence: OPEN_END, countAtMost: 0 };
  return { streamId, ...numbers, reason: 'store-lost', ...span };
}

/** Streams that came after the running ones in their chains, and these. */
function descendantsOf(
  states: readonly StreamState[],
  known: readonly ArchivedStream[],
): ReadonlySet<string> {
  const newer = new Set(states.flatMap(({ streamId, running }) => (running ? streamId : [])));
  let size = 0;
  while (size < newer.size) {
    size = newer.size;
    for (const stream of known) {
      if (newer.has(stream.previous?.streamId ?? '')) newer.add(stream.streamId);
    }
  }
  return newer;
}

/**
 * What of a stream an agent need not send any more. Of a stream that runs in its session nothing is settled
 * that was only concluded: a copy of the store that is used elsewhere took it for cut off.
 */
export function settledCoverage(coverage: Coverage, isRunning: boolean): Coverage {
  return isRunning ? coverage.filter(({ state }) => !CONCLUDED_REASONS.has(state)) : coverage;
}

/** Streams of a Hello that ended cleanly. */
export function endedStreams(states: readonly StreamState[]): ArchiveTransaction['ended'] {
  return states.flatMap(({ streamId, producedTo, endedAtUs }) =>
    endedAtUs === null ? [] : [{ streamId, lastSequence: producedTo, atUs: endedAtUs }],
  );
}
