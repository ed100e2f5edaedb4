import { expect, it } from 'vitest';
import type { Hello, StreamState } from '../uplink/messages.ts';
import type { ArchivedStream } from '../world/archive.ts';
import { greetingOf } from './stream-owners.ts';

const [A, B, C] = ['a', 'b', 'c'].map((name) => name.repeat(32)) as [string, string, string];

const state = (streamId: string, more: Partial<StreamState> = {}): StreamState => ({
  ...{ streamId, bootId: '0'.repeat(32), startedAtUs: 200, previous: null, held: [], heldFromUs: 0 },
  ...{ producedTo: 4, endedAtUs: 300, running: false, ...more },
});

const archived = (streamId: string, instance: number): ArchivedStream => ({
  ...{ streamId, bootId: '0'.repeat(32), startedAtUs: 100, previous: null, site: 'S', process: 'KomA' },
  ...{ instance, coverage: [], observedUntilUs: 150, endedAtUs: null, endedSequence: null },
});

function greet(streams: StreamState[], known: ArchivedStream[], foreign: string[] = []) {
  const hello: Hello = {
    ...{ protocolMin: 1, protocolMax: 2, programVersion: 'test', lane: 'control', sessionId: '' },
    ...{ site: 'S', process: 'KomA', instance: 1, siteHash: 'a'.repeat(32), wallUs: 1000, streams },
    ...{ heartbeatMs: 0, silenceMaxMs: 0, dictionaryHashes: [], highestTerm: 0, highestKernelEpoch: 0 },
  };
  const observedUntilUs = (_: string, storedUs: number): number => storedUs;
  const { contribution, ownIds } = greetingOf(
    { hello, aheadUs: 0 },
    {
      ...{ known, observedUntilUs },
      isForeign: (streamId) => foreign.includes(streamId),
    },
  );
  const { streams: started = [], ended = [], gaps = [] } = contribution;
  const idsOf = (all: readonly { readonly streamId: string }[]) => all.map(({ streamId }) => streamId);
  return { ownIds: [...ownIds], started: idsOf(started), ended: idsOf(ended), gaps: idsOf(gaps) };
}

it('a stream belongs to the instance that the archive has it from, whoever names it', () => {
  const other = greet([state(A), state(B)], [archived(A, 2)]);
  expect(other).toEqual({ ownIds: [B], started: [B], ended: [B], gaps: [] });
  const own = greet([state(A)], [archived(A, 1)], [A]);
  expect(own.ownIds, 'also where another process claims it').toEqual([A]);
});

it('one that it does not have belongs to whoever has a session with it', () => {
  expect(greet([state(A), state(B)], [], [A])).toMatchObject({ ownIds: [B], ended: [B] });
});

it('a chain tells of no crash of a stream of another one', () => {
  const previous = { lastDurableSequence: 4, endedCleanly: false, aliveUntilUs: 150, lostAtMost: 9 };
  const after = (streamId: string) => state(C, { previous: { ...previous, streamId } });
  expect(greet([after(A)], [archived(A, 2)]).gaps).toEqual([]);
  expect(greet([after(A)], [archived(A, 1)]).gaps).toEqual([A]);
});
