import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Mark } from './marks.ts';
import { overlapMarks, type RivalRow } from './overlap.ts';
import { Quality } from './quality.ts';

function row(at: number, instance: number, more: Partial<RivalRow> = {}): RivalRow {
  return { sourceTimeUs: at * 1000, instance, term: instance, value: at, quality: Quality.good, ...more };
}

const SCAN_MS = 100;
const { overlap, duplicate } = Mark;

describe('polled: a lower term gives way to a good row of a higher one within two scans', () => {
  test('on either side of it, up to exactly two scan periods', () => {
    const rows = [row(0, 1), row(100, 1), row(300, 2), row(500, 1), row(501, 1)];
    expect(overlapMarks(rows, SCAN_MS)).toEqual([0, overlap, 0, overlap, 0]);
  });

  test('not to a bad one: then the lower term is all that there is', () => {
    const rows = [row(0, 1), row(50, 2, { quality: Quality.badTimeout })];
    expect(overlapMarks(rows, SCAN_MS)).toEqual([0, 0]);
  });

  test('a bad row of the lower term gives way like a good one', () => {
    expect(overlapMarks([row(0, 1, { quality: Quality.badTimeout }), row(50, 2)], SCAN_MS)).toEqual([
      overlap,
      0,
    ]);
  });

  test('inside one instance nothing gives way, also not over a change of its term', () => {
    expect(overlapMarks([row(0, 1), row(0, 1, { term: 9 }), row(5000, 2)], SCAN_MS)).toEqual([0, 0, 0]);
  });
});

describe('subscribed: of equal rows that of the highest term stays', () => {
  test('in source time, value and quality', () => {
    const rows = [
      row(0, 1),
      row(0, 2, { value: 0 }),
      row(7, 1),
      row(7, 2, { value: 8 }),
      row(9, 1),
      row(9, 2, { quality: Quality.badTimeout }),
    ];
    expect(overlapMarks(rows, undefined)).toEqual([duplicate, 0, 0, 0, 0, 0]);
  });

  test('equal times inside one instance are all kept', () => {
    expect(overlapMarks([row(3, 1), row(3, 1), row(4, 2)], undefined)).toEqual([0, 0, 0]);
  });

  test('of equal terms the lower instance stays', () => {
    const rows = [row(3, 2, { term: 0 }), row(3, 1, { term: 0 })];
    expect(overlapMarks(rows, undefined)).toEqual([duplicate, 0]);
  });
});

test('what nobody of a higher term tells better is never marked', () => {
  const anyRow = fc.record({
    at: fc.integer({ min: 0, max: 40 }),
    instance: fc.integer({ min: 1, max: 2 }),
    term: fc.integer({ min: 1, max: 3 }),
    value: fc.integer({ min: 0, max: 1 }),
    isGood: fc.boolean(),
  });
  const scans = fc.constantFrom(undefined, 1, 3);
  fc.assert(
    fc.property(fc.array(anyRow, { maxLength: 30 }), scans, (drawn, scanMs) => {
      const rows = drawn
        .map(({ at, instance, term, value, isGood }) =>
          row(at, instance, { term, value, quality: isGood ? Quality.good : Quality.badTimeout }),
        )
        .sort((a, b) => a.sourceTimeUs - b.sourceTimeUs);
      const marks = overlapMarks(rows, scanMs);
      for (const [at, each] of rows.entries()) {
        const rivals = rows.filter(
          (other) =>
            other.instance !== each.instance &&
            Math.abs(other.sourceTimeUs - each.sourceTimeUs) <= 2 * (scanMs ?? 0) * 1000,
        );
        const isBest = rivals.every(
          (other) => other.term < each.term || (other.term === each.term && other.instance > each.instance),
        );
        if (isBest) expect(marks[at]).toBe(0);
      }
    }),
  );
});
