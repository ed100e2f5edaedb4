import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isKomError } from '../errors.ts';
import { type Entry, SAMPLE_CAUSES, type Sample, type TimeGap } from '../sample.ts';
import { type BlockHeader, lastSequence } from './block.ts';
import {
  clockFixAt,
  decodeBlock,
  encodeBlock,
  entryAt,
  isClockFixAt,
  isSampleAt,
  readBlock,
} from './codec.ts';

const OPTIONS = {
  streamId: '00112233445566778899aabbccddeeff',
  firstSequence: 4_000_000_001,
  dictionaryHash: 'ffeeddccbbaa99887766554433221100',
  sealedMonotonicUs: 123_456_789_012,
};

/** A block that the first release wrote. */
const VERSION_1 =
  '4b4201004327605f340000000a1000112233445566778899aabbccddeeff10291808200a28ae173210ffeeddccbbaa9988776655' +
  '44332211003809400148a50128b52ffd20a5bd0400b4080002000200020207bc0f00d20f00ce0f0000c72e02030b040405100603' +
  '00018080c481080400090a0080008080353540c00506c5be6c75c5a502517b2273746174696f6e223a225031222c227461677322' +
  '3a5b2261225d2c2266726f6d5573223a31302c22746f5573223a32302c22726561736f7665726c6f6164222c22636f756e74223a' +
  '337d0105e12e03000855228202870365';

const timeUs = fc.integer({ min: 0, max: 4_100_000_000_000_000 });

const sample: fc.Arbitrary<Sample> = fc
  .record({
    tagIndex: fc.oneof(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 150_000 })),
    sourceTimeUs: timeUs,
    value: fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.double(),
      fc.string({ unit: 'grapheme' }),
    ),
    quality: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff_ffff })),
    cause: fc.constantFrom(...SAMPLE_CAUSES),
    deviceTimeUs: fc.option(timeUs, { nil: undefined, freq: 5 }),
  })
  .map(({ deviceTimeUs, ...rest }) => (deviceTimeUs === undefined ? rest : { ...rest, deviceTimeUs }));

const timeGap: fc.Arbitrary<TimeGap> = fc.record({
  station: fc.option(fc.string()),
  tags: fc.array(fc.string(), { maxLength: 3 }),
  fromUs: timeUs,
  toUs: timeUs,
  reason: fc.constantFrom('agent-stopped', 'station-down', 'overload'),
});

const entries = fc.array(fc.oneof({ weight: 9, arbitrary: sample }, { weight: 1, arbitrary: timeGap }), {
  minLength: 1,
  maxLength: 60,
});

function roundTrip(list: readonly Entry[]): Entry[] {
  const decoded = decodeBlock(readBlock(encodeBlock(list, OPTIONS).bytes));
  return list.map((_, at) => entryAt(decoded, at));
}

describe('block codec', () => {
  it('tells a source time of the device from one that the agent stamped', () => {
    const at = { tagIndex: 0, sourceTimeUs: 5, value: 1n, quality: 0, cause: 'periodic' } as const;
    const list: Sample[] = [at, { ...at, deviceTimeUs: 5 }, { ...at, deviceTimeUs: 3 }];
    const block = encodeBlock(list, OPTIONS);
    expect([...decodeBlock(block).deviceTimesUs]).toEqual([
      [2, 3],
      [1, 5],
    ]);
    expect(roundTrip(list)).toEqual(list);
  });

  it('carries clock fixes, which are no entries, and the doubt about its clock', () => {
    const fix = { streamId: 'a'.repeat(32), firstSequence: 3, lastSequence: 9, offsetUs: -3_600_000_000 };
    const list = [
      { ...fix, atUs: 77 },
      { ...fix, offsetUs: 1, atUs: 78 },
    ];
    const block = decodeBlock(readBlock(encodeBlock(list, { ...OPTIONS, isClockUncertain: true }).bytes));
    expect(list.map((_, at) => clockFixAt(block, at))).toEqual(list);
    expect([isClockFixAt(block, 0), isSampleAt(block, 0)]).toEqual([true, false]);
    expect(block.header.isClockUncertain).toBe(true);
    expect(() => entryAt(block, 0)).toThrow();
    expect(encodeBlock(list, OPTIONS).header).not.toHaveProperty('isClockUncertain');
  });

  it('refuses a clock fix that is none', () => {
    const fix = { streamId: 'a'.repeat(32), firstSequence: 3, lastSequence: 9, offsetUs: 1, atUs: 7 };
    const wrong = [
      { ...fix, firstSequence: 0 },
      { ...fix, lastSequence: 2 },
      { ...fix, streamId: 'x' },
      { ...fix, offsetUs: 1e16 },
      { ...fix, offsetUs: 0.5 },
    ];
    for (const each of wrong) {
      const block = decodeBlock(encodeBlock([each], OPTIONS));
      expect(() => clockFixAt(block, 0), JSON.stringify(each)).toThrow(/KOM_BLOCK_CORRUPT|clock fix/);
    }
  });

  it('gives back every entry exactly', () => {
    fc.assert(
      fc.property(entries, (list) => {
        expect(roundTrip(list)).toEqual(list);
      }),
      { numRuns: 500 },
    );
  });

  it('keeps int64 and float64 to the last bit', () => {
    const values = [2n ** 63n - 1n, -(2n ** 63n), 0n, -1n, 2n ** 53n + 1n, -0, Number.NaN, -Infinity, 5e-324];
    const list = values.map(
      (value): Sample => ({ tagIndex: 3, sourceTimeUs: 1, value, quality: 0, cause: 'change' }),
    );
    const got = roundTrip(list) as Sample[];
    for (const [at, value] of values.entries()) expect(Object.is(got[at]?.value, value)).toBe(true);
  });

  it('gives back what a plant says: tags again and again, numbers of few decimals, float32, counters', () => {
    const numbers = fc.oneof(
      fc.integer({ min: -30_000, max: 30_000 }).map((value) => value / 10),
      fc.double().map(Math.fround),
      fc.constantFrom(-0, 0, Number.NaN, Infinity, 5e-324, 1e15 + 0.5, 2 ** 53, 0.1 + 0.2),
      fc.bigInt({ min: 0n, max: 10_000n }),
      fc.constantFrom(2n ** 50n, 2n ** 50n + 1n, -(2n ** 63n), 2n ** 63n - 1n),
    );
    const again = fc.record({
      tagIndex: fc.nat({ max: 5 }),
      sourceTimeUs: fc.nat({ max: 3 }).map((scan) => 1_767_225_600_000_000 + scan * 1_000_000),
      value: fc.oneof(numbers, fc.boolean(), fc.constant('x'.repeat(70_000))),
      quality: fc.constantFrom(0, 0x8031_0000),
      cause: fc.constantFrom(...SAMPLE_CAUSES),
      deviceTimeUs: fc.nat({ max: 3 }).map((scan) => 1_767_225_600_000_000 + scan * 1_000_000),
    });
    fc.assert(
      fc.property(fc.array(again, { minLength: 1, maxLength: 200 }), (list) => {
        expect(roundTrip(list)).toEqual(list);
      }),
      { numRuns: 200 },
    );
  });

  it('reads what version 1 wrote', () => {
    const decoded = decodeBlock(readBlock(Buffer.from(VERSION_1, 'hex')));
    const sample = (tagIndex: number, sourceTimeUs: number, rest: Partial<Sample>) => ({
      ...{ tagIndex, sourceTimeUs, value: null, quality: 0, cause: 'change' },
      ...rest,
    });
    expect(decoded.header).toMatchObject({ firstSequence: 41, count: 8, fromUs: 10, toUs: 3000 });
    expect(Array.from({ length: 8 }, (_, at) => entryAt(decoded, at))).toEqual([
      sample(0, 1000, { value: true }),
      sample(1, 1000, { value: -5n }),
      sample(1, 2001, { value: 2n ** 62n, cause: 'snapshot' }),
      sample(2, 2001, { value: 21.5, quality: 0x8031_0000 }),
      sample(2, 3000, { value: -0 }),
      sample(3, 3000, { value: 'žluť', deviceTimeUs: 7 }),
      sample(4, 3000, { cause: 'periodic' }),
      { station: 'P1', tags: ['a'], fromUs: 10, toUs: 20, reason: 'overload', count: 3 },
    ]);
  });

  it('writes each byte as kernel.proto says', () => {
    const at = (tagIndex: number, sourceTimeUs: number, value: Sample['value']): Sample => ({
      ...{ tagIndex, sourceTimeUs, value, quality: 0, cause: 'change' },
    });
    const block = encodeBlock(
      [at(1, 5000, 21.5), at(2, 5000, 7n), at(1, 6000, 21), at(2, 6000, 9n), at(3, 6001, true)],
      OPTIONS,
    );
    const body = block.bytes.subarray(block.bytes.length - block.header.bodyBytes);
    expect(Buffer.from(body).toString('hex')).toBe(
      // Indexes below 4; 1, 0, 2, 0, 0 passed over, in two bits each.
      `04${'02'}${'2100'}` +
        // Three runs of 2, 2, 1; the first at from_us; in µs; steps of 1000 and 1.
        `03${'01'}${'03'}${'00'}${'00'}${'8a01'}${'e70300'}` +
        // Symbols float64, int64, boolean; at the places 0, 1, and then as the tag before, 0 0 2.
        `03040301${'02'}${'0402'}` +
        // The boolean is not false; qualities good.
        `${'01'}${'01'}${'0500'}` +
        // Class 0 of int64, 1 of float64; 7 and +2; 215 and -5 (ZigZag 9).
        `${'8000'}${'8001'}${'8007'}${'8002'}${'80d701'}${'0409'}` +
        // No device times.
        '00',
    );
  });

  it('says in its header what it holds', () => {
    const list = [5, 3, 9].map(
      (sourceTimeUs): Sample => ({ tagIndex: 0, sourceTimeUs, value: true, quality: 0, cause: 'change' }),
    );
    const { header } = readBlock(encodeBlock(list, OPTIONS).bytes);
    expect(header).toMatchObject({ ...OPTIONS, count: 3, fromUs: 3, toUs: 9 });
    expect(lastSequence(header)).toBe(OPTIONS.firstSequence + 2);
  });

  it('refuses every single flipped bit and every truncation', () => {
    const { bytes } = encodeBlock(
      Array.from({ length: 20 }, (_, at) => ({
        tagIndex: at,
        sourceTimeUs: at,
        value: at * 1.5,
        quality: 0,
        cause: 'change' as const,
      })),
      OPTIONS,
    );
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      // The fourth byte is reserved; nothing reads it and the CRC begins behind it.
      if (bit >> 3 === 3) continue;
      const damaged = bytes.slice();
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => readBlock(damaged), `bit ${bit}`).toThrowError(/does not decode/);
    }
    for (let length = 0; length < bytes.length; length++) {
      expect(() => readBlock(bytes.slice(0, length))).toThrowError(/does not decode/);
    }
  });

  it('answers garbage behind a right CRC with an operating error, never with a crash', () => {
    const { header } = encodeBlock(
      [{ tagIndex: 1, sourceTimeUs: 7, value: 'x', quality: 0, cause: 'change' }],
      OPTIONS,
    );
    const refuse = (body: Uint8Array, count: number, version: number) =>
      decodeOrRefuse(body, { ...header, count }, version);
    const version = fc.constantFrom(1, 2);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.integer({ min: 1, max: 100 }), version, refuse),
      { numRuns: 1000 },
    );
  });

  it('answers a damaged body behind a right CRC the same way', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(entries, damage, (list, places) => {
        const { header, bytes } = encodeBlock(list, OPTIONS);
        if (header.codec !== 0) return;
        const body = bytes.slice(bytes.length - header.bodyBytes);
        for (const [at, bits] of places) body[at % body.length]! ^= bits;
        decodeOrRefuse(body, header, 2);
      }),
      { numRuns: 1000 },
    );
    // What a damaged block left behind does not reach the next one.
    const list = entriesOfAll();
    expect(roundTrip(list)).toEqual(list);
  });
});

/** A block with this body is decoded, or refused as corrupt; anything else is a bug. */
function decodeOrRefuse(body: Uint8Array, of: BlockHeader, version: number): void {
  const header = { ...of, codec: 0, bodyBytes: body.length };
  const prefix = new Uint8Array(12);
  prefix[2] = version;
  try {
    decodeBlock({ header, bytes: new Uint8Array([...prefix, ...body]) });
  } catch (error) {
    expect(isKomError(error, 'KOM_BLOCK_CORRUPT'), String(error)).toBe(true);
  }
}

function entriesOfAll(): Entry[] {
  const values = [true, 7n, 2n ** 62n, 21.5, Math.PI, Math.fround(Math.PI), 'x', null];
  return Array.from({ length: 64 }, (_, at) => ({
    tagIndex: at >> 1,
    sourceTimeUs: 1000 + at,
    value: values[at % values.length] ?? null,
    quality: 0,
    cause: 'change',
  }));
}

describe('the span of a block', () => {
  it('has the whole of the time gaps in it', () => {
    const gap: TimeGap = { station: null, tags: [], fromUs: 500, toUs: 900, reason: 'overload' };
    const sample: Sample = { tagIndex: 0, sourceTimeUs: 950, value: 1, quality: 0, cause: 'change' };
    const options = { streamId: 'a'.repeat(32), dictionaryHash: 'd'.repeat(32), sealedMonotonicUs: 0 };
    const encode = (entries: readonly Entry[]) => encodeBlock(entries, { ...options, firstSequence: 1 });
    expect(encode([gap, sample]).header).toMatchObject({ fromUs: 500, toUs: 950 });
    expect(encode([sample]).header).toMatchObject({ fromUs: 950, toUs: 950 });
    const decoded = decodeBlock(encode([gap, sample]));
    expect([entryAt(decoded, 0), entryAt(decoded, 1)]).toEqual([gap, sample]);
  });
});
