import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter } from '../bytes.ts';
import { isKomError } from '../errors.ts';
import { readColumn, readSignedColumn, writeColumn, writeSignedColumn } from './column.ts';

const MAX = Number.MAX_SAFE_INTEGER;
const SIGNED_MAX = 2 ** 52 - 1;

/** Numbers as columns have them: all alike, small with some large, mostly zero, of any length. */
const unsigned = fc.oneof(
  fc.array(fc.maxSafeNat()),
  fc.array(fc.nat({ max: 40 }), { maxLength: 300 }),
  fc.array(fc.oneof({ weight: 20, arbitrary: fc.constant(0) }, fc.maxSafeNat()), { maxLength: 300 }),
  fc.array(fc.oneof({ weight: 20, arbitrary: fc.nat({ max: 5 }) }, fc.constantFrom(MAX, 2 ** 32, 2 ** 31))),
  fc
    .tuple(fc.nat({ max: 52 }), fc.array(fc.double({ min: 0.5, max: 1, maxExcluded: true, noNaN: true })))
    .map(([bits, fractions]) => fractions.map((fraction) => Math.floor(fraction * 2 ** bits))),
);

function written(values: readonly number[], write: typeof writeColumn): Uint8Array {
  const writer = new ByteWriter(1);
  write(writer, Float64Array.from(values));
  return writer.view();
}

describe('a column', () => {
  it('gives back its numbers, and not a byte more is read', () => {
    fc.assert(
      fc.property(unsigned, (values) => {
        const reader = new ByteReader(Uint8Array.from([...written(values, writeColumn), 77]));
        expect([...readColumn(reader, values.length)]).toEqual(values);
        expect([...reader.raw(reader.remaining)]).toEqual([77]);
      }),
      { numRuns: 500 },
    );
  });

  it('gives back signed numbers', () => {
    const signed = fc.array(fc.integer({ min: -SIGNED_MAX, max: SIGNED_MAX }));
    const near = fc
      .tuple(fc.integer({ min: 0, max: SIGNED_MAX - 99 }), fc.array(fc.nat({ max: 99 }), { minLength: 1 }))
      .map(([base, steps]) => steps.map((step) => base + step));
    fc.assert(
      fc.property(fc.oneof(signed, near, fc.array(fc.integer({ min: -50, max: 50 }))), (values) => {
        const reader = new ByteReader(Uint8Array.from([...written(values, writeSignedColumn), 77]));
        expect([...readSignedColumn(reader, values.length)]).toEqual(values);
        expect([...reader.raw(reader.remaining)]).toEqual([77]);
      }),
      { numRuns: 500 },
    );
  });

  it('takes what its numbers are worth', () => {
    const bytes = (values: readonly number[]) => written(values, writeColumn).length;
    expect(bytes([])).toBe(0);
    expect(bytes(Array(10_000).fill(0))).toBe(1);
    expect(bytes(Array.from({ length: 8000 }, (_, at) => at % 64))).toBe(1 + 6000);
    // One in a hundred: its place costs more than it does.
    expect(bytes(Array.from({ length: 10_000 }, (_, at) => (at % 100 === 0 ? 1 : 0)))).toBeLessThan(150);
    // A few large numbers do not make all of them long.
    expect(bytes(Array.from({ length: 1000 }, (_, at) => (at % 50 === 0 ? MAX : at % 4)))).toBeLessThan(650);
    expect(written(Array(1000).fill(7_000), writeSignedColumn)).toHaveLength(3);
  });

  it('answers garbage with an operating error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), fc.nat({ max: 100 }), (bytes, count) => {
        for (const read of [readColumn, readSignedColumn]) {
          try {
            expect(read(new ByteReader(bytes), count)).toHaveLength(count);
          } catch (error) {
            expect(isKomError(error, 'KOM_BLOCK_CORRUPT'), String(error)).toBe(true);
          }
        }
      }),
      { numRuns: 2000 },
    );
  });
});
