import { expect, it } from 'vitest';
import type { Hello, Message, StreamState } from '../uplink/messages.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedArchive } from '../world/simulated/archive.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { Ingest } from './ingest.ts';
import { MirrorDesk } from './mirror-desk.ts';

const A = 'a'.repeat(32);
const B = 'b'.repeat(32);
const FOREIGN = 'f'.repeat(32);

function state(streamId: string, ownerInstance?: number): StreamState {
  return {
    ...{ streamId, bootId: 'b'.repeat(32), startedAtUs: 5, previous: null, held: [{ first: 1, last: 9 }] },
    ...{ heldFromUs: 5, producedTo: 9, endedAtUs: null, running: false },
    ...(ownerInstance === undefined ? {} : { ownerInstance }),
  };
}

function hello(instance: number, streams: readonly StreamState[] = []): Hello {
  return {
    ...{ protocolMin: 1, protocolMax: 2, programVersion: 'test', lane: 'control', sessionId: '' },
    ...{ site: 'S', process: 'KomA', instance, siteHash: '', wallUs: 0, streams, heartbeatMs: 0 },
    ...{ silenceMaxMs: 0, dictionaryHashes: [], highestTerm: 0, highestKernelEpoch: 0 },
  };
}

function makeDesk() {
  const clock = new SimulatedClock();
  const archive = new SimulatedArchive();
  const ingest = new Ingest({ archive, clock, log: silentLog });
  const unlisted: string[] = [];
  const desk = new MirrorDesk({
    ...{ archive, ingest, log: silentLog, count: () => {} },
    acknowledgeable: (_, coverage) => coverage,
    isForeign: (streamId) => streamId === FOREIGN,
    unlisted: ({ process }) => unlisted.push(process),
  });
  const connect = (sessionId: string, instance: number, streams: readonly StreamState[] = []) => {
    const said: Message[] = [];
    const send = async (message: Message): Promise<void> => void said.push(message);
    desk.connected({ sessionId, hello: hello(instance, streams), send, mirrors: () => {} });
    return said;
  };
  const list = async (sessionId: string, streams: readonly StreamState[]) => {
    desk.listed(sessionId, streams);
    await clock.advance(500);
  };
  return { archive, desk, unlisted, connect, list };
}

const right = (...streamIds: string[]): Message => ({ type: 'deliveryRight', streamIds });

it('registers a stream that nobody told of under its owner, and gives the right to deliver it', async () => {
  const { archive, desk, connect, list } = makeDesk();
  const said = connect('two', 2);
  await list('two', [state(A, 1)]);
  expect(said).toEqual([right(A)]);
  expect(await archive.streams('S', 'KomA')).toMatchObject([{ streamId: A, instance: 1 }]);
  expect([desk.accepts('two', A), desk.accepts('two', B), desk.isListed(A)]).toEqual([true, false, true]);
});

it('gives the owner its stream back, and still takes what is on its way', async () => {
  const { desk, connect, list } = makeDesk();
  const said = connect('two', 2);
  await list('two', [state(A, 1)]);
  connect('one', 1, [state(A)]);
  expect(said.at(-1)).toEqual(right());
  expect(desk.accepts('two', A)).toBe(true);
  desk.disconnected('one');
  expect(said.at(-1)).toEqual(right(A));
});

it('takes no stream of its own instance, of none, or of another process', async () => {
  const { archive, desk, connect, list } = makeDesk();
  const said = connect('two', 2);
  await list('two', [state(A, 2), state(B), state(FOREIGN, 1)]);
  expect(said).toEqual([]);
  expect(await archive.streams('S', 'KomA')).toEqual([]);
  expect([A, B, FOREIGN].some((each) => desk.accepts('two', each))).toBe(false);
});

it('says when a stream is not mirrored any more that no connected agent names as its own', async () => {
  const { unlisted, connect, list } = makeDesk();
  connect('two', 2);
  await list('two', [state(A, 1), state(B, 1)]);
  await list('two', [state(B, 1)]);
  expect(unlisted).toHaveLength(1);
  connect('one', 1, [state(B)]);
  await list('two', []);
  expect(unlisted, 'its owner is there').toHaveLength(1);
});

it('says so when the session is gone that named it, of an instance that knows of it no more', async () => {
  const { desk, unlisted, connect, list } = makeDesk();
  connect('one', 1, [state(A)]);
  connect('two', 2);
  await list('two', [state(A, 1)]);
  connect('one anew', 1);
  await list('two', []);
  expect(unlisted, 'the former session is not over yet').toEqual([]);
  desk.disconnected('one');
  expect(unlisted).toHaveLength(1);
});

it('lets a mirror forget what is data, and not what was given up for lost', async () => {
  const { archive, connect, list } = makeDesk();
  const said = connect('two', 2);
  await list('two', [state(A, 1)]);
  const gap = { streamId: A, fromUs: 5, toUs: 6, countAtMost: 4 };
  await archive.commit({
    ...{ streams: [], blocks: [], observed: [], ended: [], receivedAtUs: 7 },
    gaps: [
      { ...gap, firstSequence: 1, lastSequence: 4, reason: 'dropped' },
      { ...gap, firstSequence: 5, lastSequence: 9, reason: 'evicted' },
    ],
  });
  await list('two', [state(A, 1), state(B, 1)]);
  expect(said).toContainEqual({
    type: 'mirrorAck',
    coverage: [{ streamId: A, throughSequence: 4, held: [] }],
  });
});
