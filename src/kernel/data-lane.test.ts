import { expect, it } from 'vitest';
import { encodeBlock } from '../domain/block/codec.ts';
import { encodeDictionary } from '../domain/dictionary-codec.ts';
import type { Channel } from '../uplink/channel.ts';
import type { Message } from '../uplink/messages.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedArchive } from '../world/simulated/archive.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { DataLane } from './data-lane.ts';
import { DictionaryShelf } from './dictionary-shelf.ts';
import { Ingest } from './ingest.ts';
import { LaneGate } from './lane-gate.ts';
import { Presence } from './presence.ts';

const OWN = 'a'.repeat(32);
const MIRRORED = 'b'.repeat(32);
const TAG = {
  name: 'P.T',
  station: 'P',
  class: 'measurement',
  type: 'int64',
  unit: '',
  formerly: [],
} as const;
const { hash, bytes } = encodeDictionary({ site: 'S', process: 'KomA', tags: [TAG] });

function blockOf(streamId: string): Message {
  const sample = { tagIndex: 0, sourceTimeUs: 5, value: 7n, quality: 0, cause: 'change' } as const;
  const place = { streamId, firstSequence: 1, dictionaryHash: hash, sealedMonotonicUs: 0 };
  return { type: 'block', bytes: encodeBlock([sample], place).bytes };
}

function gapOf(streamId: string): Message {
  const numbers = { firstSequence: 2, lastSequence: 9, countAtMost: 8 };
  return { type: 'gap', gap: { streamId, ...numbers, reason: 'evicted', fromUs: 5, toUs: 6 } };
}

function endOf(streamId: string): Message {
  return { type: 'streamEnd', streamId, lastSequence: 9, endedAtUs: 6 };
}

/** The end of a data lane whose agent says all this; it mirrors one stream, and has one of its own. */
function hears(...messages: readonly Message[]) {
  return hearsThrough(new LaneGate(), messages);
}

async function hearsThrough(gate: LaneGate, messages: readonly Message[]) {
  const clock = new SimulatedClock();
  const archive = new SimulatedArchive();
  const ingest = new Ingest({ archive, clock, log: silentLog });
  const origin = { site: 'S', process: 'KomA', bootId: 'c'.repeat(32), startedAtUs: 1, previous: null };
  const streams = [
    { ...origin, streamId: OWN, instance: 2 },
    { ...origin, streamId: MIRRORED, instance: 1 },
  ];
  await clock.runUntil(ingest.commit({ streams, bytes: 0 }));
  const presence = new Presence(clock).of('S', 'KomA');
  const answers: Message[] = [];
  const said = [...messages];
  const channel = {
    receive: async () => said.shift() ?? null,
    send: async (message: Message) => void answers.push(message),
    destroy: () => {},
    isDestroyed: false,
  } as unknown as Channel;
  const lane = new DataLane({
    ...{ channel, archive, presence, instance: presence.instance(2), site: 'S', process: 'KomA' },
    ...{ dictionaries: new DictionaryShelf(archive), ingest },
    ...{ streamIds: new Set([OWN]), namedIds: new Set([OWN]), ownIds: new Set([OWN]) },
    ...{ runningIds: new Set([OWN]), acknowledgeable: (_, coverage) => coverage, clock, log: silentLog },
    ...{ isMirrored: (streamId) => streamId === MIRRORED, isForeign: () => false, named: () => {} },
    ...{ quota: { newDictionary: () => {} } as never, gate },
  });
  const run = lane.run().then(
    () => 'the end',
    (error: Error) => error.message,
  );
  await clock.advance(1000);
  const coverage = async (streamId: string) => await archive.coverage(streamId);
  if (gate.isClosed) {
    expect(answers).toEqual([]);
    gate.open();
    await clock.advance(1000);
  }
  return { ended: await run, answers, coverage };
}

const DICTIONARY: Message = { type: 'dictionary', hash, content: bytes };

it('what comes while the gate is closed is taken when it opens', async () => {
  const gate = new LaneGate();
  gate.close();
  const { ended, answers } = await hearsThrough(gate, [DICTIONARY, blockOf(OWN)]);
  expect(ended).toBe('the end');
  expect(answers).toMatchObject([{ type: 'ack', coverage: [{ streamId: OWN, throughSequence: 1 }] }]);
});

it('blocks of a mirrored stream are archived and acknowledged', async () => {
  const { ended, answers, coverage } = await hears(DICTIONARY, blockOf(MIRRORED));
  expect(ended).toBe('the end');
  expect(await coverage(MIRRORED)).toEqual([{ first: 1, last: 1, state: 'data' }]);
  expect(answers).toMatchObject([{ type: 'ack', coverage: [{ streamId: MIRRORED, throughSequence: 1 }] }]);
});

it.each([
  ['a gap', gapOf],
  ['its end', endOf],
] as const)(
  'of a mirrored stream only its owner tells %s: the lane ends, nothing is stored',
  async (_, of) => {
    const { ended, coverage } = await hears(DICTIONARY, blockOf(MIRRORED), of(MIRRORED));
    expect(ended).toMatch(/was not named in the Hello/);
    expect((await coverage(MIRRORED)).filter(({ state }) => state !== 'data')).toEqual([]);
    const own = await hears(of(OWN));
    expect(own.ended).toBe('the end');
    expect(own.answers).toMatchObject([{ type: 'ack' }]);
  },
);
