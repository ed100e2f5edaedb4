import type { Hello } from '../uplink/messages.ts';
import type { ArchivedStream } from '../world/archive.ts';
import { crashGaps, endedStreams, streamsOf, untoldPredecessors } from './chain.ts';
import type { Contribution } from './ingest.ts';
import type { Greeted } from './lost-stores.ts';

type Who = Pick<Hello, 'site' | 'process'>;

/** A session, as far as it says whose streams are. */
interface Naming {
  readonly hello: Who;
  readonly streamIds: ReadonlySet<string>;
}

/**
 * A process that has a session now made this stream. A site that was renamed has no session under its former
 * name any more, so what it held under that is its own.
 */
export function isNamedByOther(
  sessions: Iterable<Naming>,
  streamId: string,
  { site, process }: Who,
): boolean {
  for (const { hello, streamIds } of sessions) {
    if ((hello.site !== site || hello.process !== process) && streamIds.has(streamId)) return true;
  }
  return false;
}

/** What is known besides a Hello. */
export interface GreetingContext {
  /** Streams of the process that the archive has. */
  readonly known: readonly ArchivedStream[];
  /** How far a stream is known to be complete, integer µs, given what the archive has of it. */
  readonly observedUntilUs: (streamId: string, storedUs: number) => number;
  readonly isForeign: (streamId: string) => boolean;
}

/**
 * What the chain of a Hello brings to the archive, and which of its streams are the sender's. A chain speaks
 * of the streams of its own store only: of a stream that is another process's, or that the archive has from
 * another instance, nobody else may say what became of it.
 */
export function greetingOf(
  { hello, aheadUs }: Pick<Greeted, 'hello' | 'aheadUs'>,
  { known, observedUntilUs, isForeign }: GreetingContext,
): { readonly contribution: Contribution; readonly ownIds: ReadonlySet<string> } {
  const { site, process, instance } = hello;
  const stored = new Map(known.map((each) => [each.streamId, each]));
  const isOwn = (streamId: string): boolean => {
    const owner = stored.get(streamId)?.instance;
    return owner === undefined ? !isForeign(streamId) : owner === instance;
  };
  const streams = hello.streams.filter(({ streamId }) => isOwn(streamId));
  const untold = untoldPredecessors(hello, (streamId) => stored.has(streamId));
  const observed = (streamId: string): number =>
    observedUntilUs(streamId, stored.get(streamId)?.observedUntilUs ?? 0);
  const gaps = crashGaps({ ...hello, streams, aheadUs }, observed);
  const contribution = {
    streams: streamsOf(streams, { site, process, instance }).filter((each) => !untold.has(each.streamId)),
    gaps: gaps.filter(({ streamId }) => isOwn(streamId) && !untold.has(streamId)),
    ended: endedStreams(streams),
    bytes: 64 * hello.streams.length,
  };
  return { contribution, ownIds: new Set(streams.map(({ streamId }) => streamId)) };
}
