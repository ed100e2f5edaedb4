import { expect, it } from 'vitest';
import { encodeBlock } from '../../domain/block/codec.ts';
import { OPEN_END } from '../../domain/gap.ts';
import { Mark } from '../../domain/marks.ts';
import { DICTIONARY, HASH, sampleOf } from '../../world/archive.fixture.ts';
import { silentLog } from '../../world/log.ts';
import { SimulatedArchive } from '../../world/simulated/archive.ts';
import { SimulatedClock } from '../../world/simulated/clock.ts';
import { DictionaryShelf } from '../dictionary-shelf.ts';
import { Ingest } from '../ingest.ts';
import { whichNotesLost } from '../lost-archive.ts';
import { LostValues } from '../lost-values.ts';
import { Presence } from '../presence.ts';
import { Taker } from './taker.ts';

const STREAM_ID = 'a'.repeat(32);
const STREAM = {
  ...{ streamId: STREAM_ID, bootId: 'b'.repeat(32), startedAtUs: 1, previous: null, ended: null },
  ...{ site: 'S', process: 'P', instance: 1, observedSequence: 0 },
};

/** A Kernel that takes from another one. */
function taking() {
  const clock = new SimulatedClock();
  const archive = new SimulatedArchive();
  const common = { archive, clock, log: silentLog };
  const presence = new Presence(clock);
  const lost = new LostValues(common);
  const watcher = whichNotesLost(archive, lost, { record: async () => {}, committed: () => {} });
  const ingest = new Ingest({ ...common, watcher });
  const taker = new Taker({
    ...{ ...common, presence, ingest, dictionaries: new DictionaryShelf(archive) },
    ...{ isFromHot: () => false, answer: () => {}, heardTerms: () => {} },
    failed: (error) => expect.fail(String(error)),
  });
  return { clock, archive, taker, ingest, lost, own: presence.of('S', 'P') };
}

/** How far a stream is taken for observed after a Kernel said this of it. */
async function observedAfter(...saidUs: readonly number[]): Promise<number> {
  const { clock, taker, own } = taking();
  own.claim({ streamId: STREAM_ID, producedTo: 0, untilUs: 20 });
  own.covered(STREAM_ID, []);
  for (const observedUntilUs of saidUs) {
    taker.take({ type: 'forwardStreams', streams: [{ ...STREAM, observedUntilUs }] });
    await clock.advance(1000);
  }
  return own.observedUntilUs(STREAM_ID, 0);
}

it('what another Kernel heard long ago takes nothing back, and what it knows more counts', async () => {
  expect(await observedAfter(5)).toBe(20);
  expect(await observedAfter(30, 10)).toBe(30);
});

it('one that heard of numbers behind a clean end declares what followed it', async () => {
  const { clock, archive, taker, own } = taking();
  const previous = { streamId: STREAM_ID, lastDurableSequence: 7, aliveUntilUs: 5, lostAtMost: 0 };
  const next = { ...STREAM, streamId: 'c'.repeat(32), startedAtUs: 9, observedUntilUs: 0 };
  const streams = [
    { ...STREAM, observedUntilUs: 0, ended: { lastSequence: 7, atUs: 5 } },
    { ...next, previous: { ...previous, endedCleanly: true } },
  ];
  taker.take({ type: 'forwardStreams', streams });
  await clock.advance(1000);
  expect(await archive.coverage(STREAM_ID)).toEqual([]);
  own.claim({ streamId: STREAM_ID, producedTo: 9, untilUs: 8 });
  taker.take({ type: 'forwardStreams', streams });
  await clock.advance(1000);
  expect(await archive.coverage(STREAM_ID)).toEqual([{ first: 8, last: OPEN_END, state: 'crash' }]);
});

it.each([
  ['it came out of a backlog', { replayed: true }, Mark.replayed],
  ['it came as it happened, however long ago', {}, 0],
  ['the giver does not know how it came, and it is new', { ageUs: 1 }, 0],
  ['the giver does not know how it came, and it is old', { ageUs: 20_000_000 }, Mark.replayed],
] as const)('what the archive tells of a block where %s', async (_, said, marks) => {
  const clock = new SimulatedClock();
  const archive = new SimulatedArchive();
  const common = { archive, clock, log: silentLog };
  const taker = new Taker({
    ...{ ...common, presence: new Presence(clock), ingest: new Ingest(common) },
    ...{ dictionaries: new DictionaryShelf(archive), isFromHot: () => true },
    ...{ answer: () => {}, heardTerms: () => {}, failed: (error) => expect.fail(String(error)) },
  });
  await archive.putDictionary(HASH, new Uint8Array(), DICTIONARY);
  const place = { streamId: STREAM_ID, firstSequence: 1, dictionaryHash: HASH, sealedMonotonicUs: 0 };
  const { bytes } = encodeBlock([sampleOf(0, 1)], place);
  const stream = { ...STREAM, process: DICTIONARY.process, observedUntilUs: 0 };
  taker.take({ type: 'forwardStreams', streams: [stream] });
  taker.take({ type: 'block', bytes, ...said });
  await clock.advance(1000);
  const query = { site: 'S', fromUs: 0, toUs: Number.MAX_SAFE_INTEGER, limit: 10 };
  const rows = await archive.samples({ ...query, tag: DICTIONARY.tags[0]?.name ?? '' });
  expect(rows.map((row) => row.marks)).toEqual([marks]);
});

it('what an agent declared to another Kernel as lost is no alarm here: it was one there', async () => {
  const { clock, archive, taker, ingest, lost } = taking();
  const numbers = { streamId: STREAM_ID, fromUs: 1, toUs: 2, countAtMost: 10 };
  const gap = { ...numbers, firstSequence: 1, lastSequence: 10, reason: 'kernel-regressed' } as const;
  taker.take({ type: 'forwardStreams', streams: [{ ...STREAM, observedUntilUs: 0 }] });
  taker.take({ type: 'gap', gap });
  await clock.advance(1000);
  expect(await archive.coverage(STREAM_ID)).toMatchObject([{ first: 1, last: 10, state: gap.reason }]);
  expect(lost.status).toBeNull();
  // In one transaction with one that an agent declares here.
  taker.take({ type: 'gap', gap: { ...gap, firstSequence: 11, lastSequence: 20 } });
  const declared = { ...gap, firstSequence: 21, lastSequence: 30 };
  await clock.runUntil(ingest.commit({ gaps: [declared], bytes: 1 }));
  await clock.advance(1000);
  expect(lost.status?.ranges).toEqual([{ streamId: STREAM_ID, first: 21, last: 30 }]);
});
