import type { HeldStream } from '../buffer/held-streams.ts';
import type { SequenceRange } from '../domain/coverage.ts';

/**
 * Streams of one store that a Hello names at most. Those of two stores fit into its frame, with
 * HELD_RANGES_MAX ranges; an agent that crashes again and again in a long outage makes more.
 */
export const NAMED_STREAMS_MAX = 2000;
/** Ranges held that a Hello names at most, of all streams of one store. */
export const HELD_RANGES_MAX = 10_000;

/**
 * Of a chain that is too long: the running stream, then the oldest ones that are due, and the newest of the
 * others where there is room.
 */
export function namedStreams(chain: readonly HeldStream[], max = NAMED_STREAMS_MAX): readonly HeldStream[] {
  if (chain.length <= max) return chain.map(withFewRanges(chain.length));
  const earlier = chain.slice(0, -1);
  const due = earlier.filter(({ isDue }) => isDue).slice(0, max - 1);
  const room = max - 1 - due.length;
  const others = room === 0 ? [] : earlier.filter(({ isDue }) => !isDue).slice(-room);
  const chosen = new Set([...due, ...others, ...chain.slice(-1)]);
  return chain.filter((each) => chosen.has(each)).map(withFewRanges(max));
}

/** The part of the streams that a session is about, where its Hello could not name all of them. */
export interface SessionPart {
  /** Blocks and gaps of the stream may be sent. */
  has(streamId: string): boolean;
  /** Another Hello would name others of which something is still to be told. */
  isOver(): boolean;
  /** The session gives way to the next part. */
  over(): void;
}

/** What is held is told for people: of very many ranges the last ones are told as one. */
function withFewRanges(streams: number): (stream: HeldStream) => HeldStream {
  const max = Math.max(1, Math.floor(HELD_RANGES_MAX / streams));
  return (stream) => {
    const { held } = stream;
    if (held.length <= max) return stream;
    const { first } = held[max - 1] as SequenceRange;
    const { last } = held.at(-1) as SequenceRange;
    return { ...stream, held: [...held.slice(0, max - 1), { first, last }] };
  };
}
