import { expect, it } from 'vitest';
import type { BlockEntry } from '../sample.ts';
import { type Block, lastSequence } from './block.ts';
import { blockEntryAt, decodeBlock, encodeBlock, readBlock } from './codec.ts';
import { cutBlock } from './cut.ts';

const IDS = {
  ...{ streamId: 'a'.repeat(32), dictionaryHash: 'b'.repeat(32), sealedMonotonicUs: 77 },
  isClockUncertain: true,
  term: 31,
} as const;

function entriesOf(block: Block): BlockEntry[] {
  const decoded = decodeBlock(readBlock(block.bytes));
  return Array.from({ length: block.header.count }, (_, at) => blockEntryAt(decoded, at));
}

const ENTRIES: BlockEntry[] = Array.from({ length: 1000 }, (_, at): BlockEntry => {
  const common = {
    tagIndex: at % 7,
    sourceTimeUs: 1_000_000 + at * 1000,
    quality: 0,
    cause: 'change' as const,
  };
  if (at % 100 === 99) {
    return { station: 'P1', tags: [], fromUs: 5, toUs: 1_000_000 + at * 1000, reason: 'station-down' };
  }
  if (at % 100 === 50) {
    return { streamId: IDS.streamId, firstSequence: 1, lastSequence: 9, offsetUs: -at, atUs: 1_000_000 };
  }
  if (at % 3 === 0) return { ...common, value: BigInt(at) * 7_777_777_777n };
  if (at % 3 === 1) return { ...common, value: Math.sin(at), deviceTimeUs: at };
  return { ...common, value: `text number ${at}` };
});
const WHOLE = encodeBlock(ENTRIES, { ...IDS, firstSequence: 501 });

it('has the same entries under the same numbers, in pieces of about the size', () => {
  const pieces = cutBlock(WHOLE, 2000);
  expect(pieces.length).toBeGreaterThan(2);
  let next = 501;
  for (const piece of pieces) {
    expect(piece.header).toMatchObject({ ...IDS, firstSequence: next });
    expect(piece.bytes.length).toBeLessThan(3000);
    next = lastSequence(piece.header) + 1;
  }
  expect(next).toBe(1501);
  expect(pieces.flatMap(entriesOf)).toEqual(entriesOf(WHOLE));
});

it('leaves out what is not wanted again', () => {
  const pieces = cutBlock(WHOLE, 2000, 800);
  expect(pieces[0]?.header.firstSequence).toBe(801);
  expect(pieces.flatMap(entriesOf)).toEqual(entriesOf(WHOLE).slice(300));
  expect(cutBlock(WHOLE, 2000, 1500)).toEqual([]);
  expect(cutBlock(WHOLE, 1e6, 1500)).toEqual([]);
});

it('is the block itself where that is small enough, byte for byte', () => {
  expect(cutBlock(WHOLE, WHOLE.bytes.length)).toEqual([WHOLE]);
  expect(cutBlock(WHOLE, WHOLE.bytes.length)[0]?.bytes).toBe(WHOLE.bytes);
});

it('leaves a block whole whose body does not decode: the Kernel says so', () => {
  const damaged = WHOLE.bytes.slice();
  damaged[damaged.length - 40] = (damaged[damaged.length - 40] ?? 0) ^ 0xff;
  const block = { header: WHOLE.header, bytes: damaged };
  expect(cutBlock(block, 600)).toEqual([block]);
});
