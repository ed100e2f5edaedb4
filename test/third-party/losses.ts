/* What a Hello tells of losses: docs/PROTOCOL.md, section 6. */
import type { Archive, GapRecord, Transaction } from './archive.ts';
import { OPEN_END, told } from './coverage.ts';
import type { Hello } from './messages.ts';

/** Makes the streams of a Hello known, and records what went with crashes and with lost stores. */
export function recordLosses(archive: Archive, { streams, owner, wallUs, isPartial }: Hello): void {
  const own = streams.map(({ streamId, startedAtUs, previous }) => {
    const before = { previous: previous?.streamId ?? null, previousAliveUs: previous?.aliveUntilUs ?? null };
    return { streamId, owner, startedAtUs, ...before };
  });
  const named = new Set(own.map(({ streamId }) => streamId));
  const forgotten = streams.flatMap(({ previous }) => {
    if (previous === null || named.has(previous.streamId) || isPartial) return [];
    const { streamId, aliveUntilUs: startedAtUs } = previous;
    return [{ streamId, owner, startedAtUs, previous: null, previousAliveUs: null }];
  });
  const transaction: Transaction = {
    streams: [...forgotten, ...own],
    ended: streams.flatMap(({ streamId, producedTo, endedAtUs }) => {
      return endedAtUs === 0 ? [] : [{ streamId, last: producedTo, atUs: endedAtUs }];
    }),
    gaps: crashes(archive, { streams, isPartial }),
  };
  archive.commit(transaction);
  if (isPartial) return;
  const lost = lostStreams(archive, { streams, owner, wallUs });
  if (lost.length > 0) archive.commit({ gaps: lost });
}

function crashes(
  archive: Archive,
  { streams, isPartial }: Pick<Hello, 'streams' | 'isPartial'>,
): GapRecord[] {
  const ids = new Set(streams.map(({ streamId }) => streamId));
  const isUntold = (streamId: string) => isPartial && !ids.has(streamId) && !archive.streams.has(streamId);
  const gap = (streamId: string, first: number, span: { aliveUs: number; toUs: number; atMost: number }) => {
    const fromUs = Math.min(span.toUs, Math.max(span.aliveUs, archive.observedUntilUs.get(streamId) ?? 0));
    const numbers = { first, last: OPEN_END, countAtMost: span.atMost };
    return { streamId, ...numbers, reason: 'crash', fromUs, toUs: span.toUs };
  };
  const cutOff = streams.flatMap(({ previous, startedAtUs: toUs }) => {
    if (previous === null || previous.endedCleanly || isUntold(previous.streamId)) return [];
    const { streamId, lastDurable, aliveUntilUs: aliveUs, lostAtMost: atMost } = previous;
    return [gap(streamId, lastDurable + 1, { aliveUs, toUs, atMost })];
  });
  const named = new Set(streams.map(({ previous }) => previous?.streamId));
  const toUs = streams.at(-1)?.startedAtUs ?? 0;
  const orphans = streams.filter(
    (each) => !each.running && each.endedAtUs === 0 && !named.has(each.streamId),
  );
  if (isPartial) return cutOff;
  return [
    ...cutOff,
    ...orphans.map(({ streamId, producedTo, startedAtUs: aliveUs }) => {
      return gap(streamId, producedTo + 1, { aliveUs, toUs, atMost: OPEN_END });
    }),
  ];
}

function lostStreams(archive: Archive, hello: Pick<Hello, 'streams' | 'owner' | 'wallUs'>): GapRecord[] {
  const { streams, owner, wallUs } = hello;
  const last = streams.at(-1);
  if (last === undefined) return [];
  const named = new Set(streams.flatMap(({ streamId, previous }) => [streamId, previous?.streamId]));
  const descends = (streamId: string): boolean => {
    const seen = new Set<string>();
    for (let at: string | null = streamId; at !== null; at = archive.streams.get(at)?.previous ?? null) {
      if (named.has(at)) return true;
      if (seen.has(at)) return false;
      seen.add(at);
    }
    return false;
  };
  return [...archive.streams.values()].flatMap((stream): GapRecord[] => {
    const { streamId, startedAtUs } = stream;
    if (stream.owner !== owner || named.has(streamId)) return [];
    if (startedAtUs >= wallUs && descends(streamId)) return [];
    const end = archive.ended.get(streamId) ?? OPEN_END;
    if (told(archive.coverage(streamId), false).through >= end) return [];
    const toUs = last.startedAtUs;
    const observedUs = archive.observedUntilUs.get(streamId) ?? 0;
    const silentUs = stream.previousAliveUs ?? startedAtUs;
    const fromUs = Math.min(toUs, observedUs > startedAtUs ? observedUs : silentUs);
    return [{ streamId, first: 1, last: end, reason: 'store-lost', fromUs, toUs, countAtMost: end }];
  });
}
