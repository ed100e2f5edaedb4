import { expect, test } from 'vitest';
import { decodeBlock, encodeBlock } from '../domain/block/codec.ts';
import { Mark } from '../domain/marks.ts';
import {
  DICTIONARY,
  HASH,
  STREAM,
  STREAM_2,
  sampleOf,
  streamOf,
  transactionOf,
} from '../world/archive.fixture.ts';
import { SimulatedArchive } from '../world/simulated/archive.ts';
import { clockFixesIn, withClockMark } from './clock-marks.ts';

const FIX = { streamId: STREAM, firstSequence: 1, lastSequence: 2, offsetUs: 5 };

const entry = (sequence: number) => ({ streamId: STREAM, sequence, atUs: 9 });

function block(firstSequence: number, streamIds: readonly string[], isClockUncertain = false) {
  const fixes = streamIds.map((streamId) => ({ ...FIX, streamId, atUs: 9 }));
  const options = { streamId: STREAM, firstSequence, dictionaryHash: HASH, sealedMonotonicUs: 0 };
  const sealed = encodeBlock(
    [sampleOf(1, 1), ...fixes],
    isClockUncertain ? { ...options, isClockUncertain } : options,
  );
  return { block: decodeBlock(sealed), dictionary: DICTIONARY };
}

async function archiveWith(...streams: readonly string[]): Promise<SimulatedArchive> {
  const archive = new SimulatedArchive();
  await archive.putDictionary(HASH, new Uint8Array([1]), DICTIONARY);
  await archive.commit(transactionOf({ streams: streams.map((streamId) => streamOf(streamId)) }));
  return archive;
}

test('fixes of known streams are taken, in order; one of a stream of nobody is passed over', async () => {
  const archive = await archiveWith(STREAM, STREAM_2);
  const found = await clockFixesIn([block(1, [STREAM_2, STREAM, 'f'.repeat(32)])], archive);
  expect(found).toEqual([
    { ...FIX, streamId: STREAM_2, by: entry(2) },
    { ...FIX, by: entry(3) },
  ]);
});

test('a fix that comes again is not applied again: a newer one may have replaced it', async () => {
  const archive = await archiveWith(STREAM);
  await archive.commit(transactionOf({ blocks: [block(1, [STREAM])] }));
  expect(await clockFixesIn([block(1, [STREAM])], archive)).toEqual([]);
  expect(await clockFixesIn([block(2, [STREAM])], archive)).toEqual([{ ...FIX, by: entry(3) }]);
});

test('rows of a block that was uncertain say so', () => {
  expect(withClockMark(block(1, [], true)).marks).toBe(Mark.clockUncertain);
  const replayed = { ...block(1, [], true), marks: Mark.replayed };
  expect(withClockMark(replayed).marks).toBe(Mark.clockUncertain | Mark.replayed);
  expect(withClockMark(block(1, []))).not.toHaveProperty('marks');
});
