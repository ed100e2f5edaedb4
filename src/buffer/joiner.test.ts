import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { DecodedBlock } from '../domain/block/block.ts';
import { blockEntryAt, decodeBlock, encodeBlock } from '../domain/block/codec.ts';
import { Quality } from '../domain/quality.ts';
import { type BlockEntry, type SampleValue, TIME_GAP_REASONS } from '../domain/sample.ts';
import { JOINED_ENTRIES_MAX, Joiner } from './joiner.ts';
import { SMALL_DICTIONARY, smallBlock } from './ring.fixture.ts';
import type { RingBlock } from './ring.ts';

const STREAM = 'a'.repeat(32);

const value: fc.Arbitrary<SampleValue> = fc.oneof(
  fc.double(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.boolean(),
  fc.string({ unit: 'grapheme' }),
  fc.constant(null),
);
const timeUs = fc.integer({ min: 0, max: 2 ** 52 });
const sample = fc
  .record({
    tagIndex: fc.nat(50),
    sourceTimeUs: timeUs,
    value,
    quality: fc.constantFrom(0, Quality.good, 0x8000_0000),
    cause: fc.constantFrom('change', 'snapshot', 'periodic', 'backfill', 'substituted'),
    device: fc.constantFrom('none', 'same', 'other'),
    otherUs: timeUs,
  })
  .map(({ device, otherUs, ...rest }) => ({
    ...rest,
    ...(device === 'none' ? {} : { deviceTimeUs: device === 'same' ? rest.sourceTimeUs : otherUs }),
  }));
const timeGap = fc.record({
  station: fc.option(fc.string()),
  tags: fc.array(fc.string(), { maxLength: 2 }),
  fromUs: timeUs,
  toUs: timeUs,
  reason: fc.constantFrom(...TIME_GAP_REASONS),
  count: fc.nat(),
});
const clockFix = fc.record({
  streamId: fc.constant(STREAM),
  firstSequence: fc.constant(1),
  lastSequence: fc.integer({ min: 1, max: 9 }),
  offsetUs: fc.integer({ min: -1000, max: 1000 }),
  atUs: timeUs,
});
const entry = fc.oneof({ weight: 8, arbitrary: sample }, timeGap, clockFix) as fc.Arbitrary<BlockEntry>;
const small = fc.record({
  entries: fc.array(entry, { minLength: 1, maxLength: 12 }),
  hole: fc.constantFrom(0, 0, 0, 0, 3),
  dictionary: fc.constantFrom('d', 'd', 'd', 'e'),
  isUncertain: fc.constantFrom(false, false, false, true),
  isAlone: fc.constantFrom(false, false, false, false, true),
});

function joined(blocks: readonly { next: RingBlock; isAlone: boolean }[]): RingBlock[] {
  const joiner = new Joiner();
  return [...blocks.flatMap(({ next, isAlone }) => joiner.add(next, isAlone)), ...joiner.flush()];
}

/** Everything that a block says of each of its numbers. */
function told({ block }: RingBlock): unknown[] {
  const { header, ...columns }: DecodedBlock = decodeBlock(block);
  const { streamId, firstSequence, dictionaryHash, isClockUncertain = false } = header;
  return Array.from({ length: header.count }, (_, at) => [
    ...[streamId, firstSequence + at, dictionaryHash, isClockUncertain],
    ...[blockEntryAt({ header, ...columns }, at), columns.deviceTimesUs.get(at), columns.kinds[at]],
  ]);
}

test('joined blocks say of every number what the small ones said', () => {
  const property = fc.property(fc.array(small, { minLength: 1, maxLength: 30 }), (made) => {
    let firstSequence = 1;
    const blocks = made.map(({ entries, hole, dictionary, isUncertain, isAlone }, at) => {
      firstSequence += hole;
      const block = encodeBlock(entries, {
        ...{ streamId: STREAM, firstSequence, dictionaryHash: dictionary.repeat(32) },
        sealedMonotonicUs: at,
        ...(isUncertain ? { isClockUncertain: true as const } : {}),
      });
      firstSequence += entries.length;
      return { next: { position: 3 + at, block }, isAlone };
    });
    const result = joined(blocks);
    expect(result.flatMap(told)).toEqual(blocks.flatMap(({ next }) => told(next)));
    for (const { position, block } of result) {
      const last = blocks[position - 3]?.next.block;
      const parts = blocks.filter(
        ({ next }) =>
          next.block.header.firstSequence >= block.header.firstSequence && next.position <= position,
      );
      expect(block.header.sealedMonotonicUs).toBe(last?.header.sealedMonotonicUs);
      expect(block.header.fromUs).toBe(Math.min(...parts.map(({ next }) => next.block.header.fromUs)));
      expect(block.header.toUs).toBe(Math.max(...parts.map(({ next }) => next.block.header.toUs)));
      if (parts.length === 1) expect(block).toBe(last);
      expect(parts.length === 1 || parts.every(({ isAlone }) => !isAlone)).toBe(true);
    }
  });
  fc.assert(property, { numRuns: 300 });
});

test('a joined block is full at its bound, and stands at the position of the last one in it', () => {
  const blocks = Array.from({ length: 300 }, (_, at) => ({
    next: { position: 10 + at, block: smallBlock(STREAM, 1 + at * 100, 100) },
    isAlone: false,
  }));
  const result = joined(blocks);
  expect(result.map(({ position, block }) => [position, block.header.count])).toEqual([
    [90, 8100],
    [171, 8100],
    [252, 8100],
    [309, 5700],
  ]);
  expect(JOINED_ENTRIES_MAX).toBe(8192);
});

test('large blocks and such that do not decode go through as they are', () => {
  const blocks = [smallBlock(STREAM, 1), smallBlock(STREAM, 9, 5000), smallBlock(STREAM, 5009)];
  const broken = smallBlock(STREAM, 5017);
  const damaged = { ...broken, header: { ...broken.header, bodyBytes: 3 } };
  const result = joined(
    [...blocks, damaged, smallBlock(STREAM, 5025), smallBlock(STREAM, 5033)].map((block, at) => ({
      next: { position: 1 + at, block },
      isAlone: false,
    })),
  );
  expect(result.map(({ position, block }) => [position, block.header.count])).toEqual([
    [1, 8],
    [2, 5000],
    [3, 8],
    [4, 8],
    [6, 16],
  ]);
  expect(result.slice(0, 4).map(({ block }) => block)).toEqual([...blocks, damaged]);
  expect(result[4]?.block.header.dictionaryHash).toBe(SMALL_DICTIONARY.hash);
});
