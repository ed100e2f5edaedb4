import { describe, expect, it } from 'vitest';
import { Quality } from '../domain/quality.ts';
import type { ArchivedRow } from './archived-rows.ts';
import { type ProofInput, proveTag, sumProofs } from './proof.ts';

const SECOND_US = 1_000_000;
const STREAM = 'a'.repeat(32);
const OTHER = 'b'.repeat(32);

/** A device that served 1 … 10, one a second. */
function served(values: readonly (number | null)[] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]): ProofInput['served'] {
  return values.map((value, at) => ({
    tag: 'T',
    value: value === null ? null : BigInt(value),
    servedAtUs: (at + 1) * SECOND_US,
    sourceTimeUs: null,
  }));
}

function row(value: number, sequence: number, more: Partial<ArchivedRow> = {}): ArchivedRow {
  return {
    tag: 'T',
    streamId: STREAM,
    sequence,
    sourceTimeUs: value * SECOND_US + 100,
    value: BigInt(value),
    quality: Quality.good,
    cause: sequence === 1 ? 'snapshot' : 'change',
    ...more,
  };
}

const complete = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((value, at) => row(value, at + 1));

function prove(archived: readonly ArchivedRow[], more: Partial<ProofInput> = {}) {
  const proof = proveTag({
    tag: 'T',
    served: served(),
    archived,
    gaps: [],
    untilUs: 20 * SECOND_US,
    pauseMaxMs: 15_000,
    scanMs: 1000,
    ...more,
  });
  const {
    produced,
    archived: found,
    declared,
    lost,
    duplicates,
    outOfOrder,
    undeclaredGaps,
    foreign,
  } = proof;
  return { produced, found, declared, lost, duplicates, outOfOrder, undeclaredGaps, foreign };
}

const clean = {
  produced: 10,
  found: 10,
  declared: 0,
  lost: 0,
  duplicates: 0,
  outOfOrder: 0,
  undeclaredGaps: 0,
  foreign: 0,
};

describe('proof', () => {
  it('is content with everything once and in order, whatever the order of the rows', () => {
    expect(prove(complete)).toEqual(clean);
    expect(prove([...complete].reverse())).toEqual(clean);
  });

  it('takes two streams that take turns as one history, and each of them by its own order', () => {
    const turns = complete.map((each, at) =>
      at >= 3 && at < 7 ? { ...each, streamId: OTHER, sequence: at - 2 } : each,
    );
    expect(prove(turns)).toEqual(clean);
    const swapped = turns.map((each) =>
      each.streamId === OTHER && each.sequence < 3 ? { ...each, sequence: 3 - each.sequence } : each,
    );
    expect(prove(swapped).outOfOrder).toBe(1);
  });

  it('knows a value whose source time is old and which was served after the end of the proof', () => {
    const untilUs = 8 * SECOND_US + 500_000;
    const earlier = (timeUs: number): number => Math.max(0, timeUs - 2 * SECOND_US);
    const early = complete.map((each) => ({ ...each, sourceTimeUs: earlier(each.sourceTimeUs) }));
    const upToEight = { ...clean, produced: 8, found: 8 };
    expect(prove(early, { untilUs })).toEqual(upToEight);
    expect(prove(early.slice(0, 8), { untilUs })).toEqual(upToEight);
    const invented = [
      ...early.slice(0, 8),
      row(42, 9, { sourceTimeUs: 7 * SECOND_US + 200 }),
      ...early.slice(8),
    ];
    expect(prove(invented, { untilUs })).toMatchObject({ foreign: 1 });
  });

  it('does not count a repeated value as a duplicate when it is a snapshot or a period', () => {
    const rows = [...complete, row(10, 11, { cause: 'periodic', sourceTimeUs: 11 * SECOND_US })];
    expect(prove(rows)).toEqual(clean);
  });

  it('sees a lost value, at either end and in the middle', () => {
    for (const value of [1, 5, 10]) {
      const rows = complete.filter((each) => each.value !== BigInt(value));
      expect(prove(rows)).toEqual({ ...clean, found: 9, lost: 1 });
    }
  });

  it('sees a run of lost values', () => {
    const rows = complete.filter((each) => (each.value as bigint) < 4n || (each.value as bigint) > 7n);
    expect(prove(rows)).toEqual({ ...clean, found: 6, lost: 4 });
  });

  it('knows the states behind a declared loss from the same ones within it', () => {
    const values = Array.from({ length: 10 }, (_, at) => at % 2);
    const rows = values.map((value, at) => row(value, at + 1, { sourceTimeUs: (at + 1) * SECOND_US + 100 }));
    const gaps = [{ fromUs: 2.5 * SECOND_US, toUs: 6.5 * SECOND_US }];
    const kept = rows.filter(({ sequence }) => sequence < 3 || sequence > 6);
    const input = { served: served(values), gaps };
    const { found, declared, ...others } = prove(kept, input);
    expect(others).toEqual({ ...others, lost: 0, duplicates: 0, outOfOrder: 0, foreign: 0 });
    expect(found + declared).toBe(10);
    const short = kept.filter(({ sequence }) => sequence !== 9);
    expect(prove(short, input).lost, 'what is lost behind it').toBeGreaterThan(0);
    // Close by as well: the loss ends half a second before states come that are like the last ones of it.
    const quick = values.map((value, at) => row(value, at + 1, { sourceTimeUs: (at + 1) * 200_000 + 100 }));
    const quickly = served(values).map((each, at) => ({ ...each, servedAtUs: (at + 1) * 200_000 }));
    const [fromUs, toUs] = [500_000, 1_300_000];
    const left = quick.filter(({ sequence }) => sequence < 3 || sequence > 6);
    const close = prove(left, { served: quickly, gaps: [{ fromUs, toUs }], scanMs: 200 });
    expect(close).toMatchObject({ lost: 0, foreign: 0, duplicates: 0 });
    expect(close.found + close.declared).toBe(10);
    // Behind the loss it is what it was before: so much of it came and went within.
    const odd = rows.filter(({ sequence }) => sequence < 3 || sequence > 7);
    expect(prove(odd, input)).toMatchObject({ duplicates: 0, lost: 0 });
    expect(prove(odd, { served: served(values) }).duplicates).toBeGreaterThan(0);
  });

  it('accepts a loss that a gap declares, and only that', () => {
    const rows = complete.filter((each) => each.value !== 5n && each.value !== 9n);
    const gaps = [{ fromUs: 4.5 * SECOND_US, toUs: 5.5 * SECOND_US }];
    expect(prove(rows, { gaps })).toEqual({ ...clean, found: 8, declared: 1, lost: 1 });
  });

  it('sees a row that is there twice', () => {
    expect(prove([...complete, row(4, 4)])).toMatchObject({ ...clean, duplicates: 1 });
  });

  it('sees a replayed stretch', () => {
    const again = [3, 4, 5].map((value, at) => row(value, 20 + at, { sourceTimeUs: (11 + at) * SECOND_US }));
    expect(prove([...complete, ...again])).toMatchObject({ ...clean, duplicates: 3 });
  });

  it('sees two values that changed places', () => {
    const rows = complete.map((each) =>
      each.sequence === 4 ? row(5, 4) : each.sequence === 5 ? row(4, 5) : each,
    );
    const proof = prove(rows);
    expect(proof.outOfOrder).toBe(1);
    expect(proof.lost + proof.duplicates).toBeGreaterThan(0);
  });

  it('sees a value that nobody served', () => {
    expect(prove([...complete.slice(0, 5), row(77, 6, { sourceTimeUs: 5.5 * SECOND_US })])).toMatchObject({
      foreign: 1,
      lost: 5,
    });
  });

  it('wants a pause of the device declared, by a gap or by a quality that says nobody saw it', () => {
    const values = [1, 2, null, null, null, null, null, 8, 9, 10];
    const rows = complete
      .filter((each) => [1n, 2n, 8n, 9n, 10n].includes(each.value as bigint))
      .map((each, at) => ({ ...each, sequence: at + 1 }));
    expect(prove(rows, { served: served(values), pauseMaxMs: null }).undeclaredGaps).toBe(1);
    const covering = [{ fromUs: 3.5 * SECOND_US, toUs: 8 * SECOND_US }];
    expect(prove(rows, { served: served(values), gaps: covering }).undeclaredGaps).toBe(0);
    const silent = served(values).filter(({ value }) => value !== null);
    expect(prove(rows, { served: silent, pauseMaxMs: 2000 }).undeclaredGaps).toBe(2);
    const gaps = [
      { fromUs: 2 * SECOND_US, toUs: 8 * SECOND_US },
      { fromUs: 10 * SECOND_US, toUs: 20 * SECOND_US },
    ];
    expect(prove(rows, { served: silent, pauseMaxMs: 2000, gaps }).undeclaredGaps).toBe(0);
    const bad = row(2, 3, { quality: Quality.badTimeout, value: null, sourceTimeUs: 2.5 * SECOND_US });
    const renumbered = rows.map((each) =>
      each.sequence < 3 ? each : { ...each, sequence: each.sequence + 1 },
    );
    expect(prove([...renumbered, bad], { served: silent, pauseMaxMs: 2000 }).undeclaredGaps).toBe(1);
  });

  it('tells a late answer, whose request was repeated at once, from a loss', () => {
    const late = { tag: 'T', value: 44n, servedAtUs: 3.9 * SECOND_US, sourceTimeUs: null };
    const values = [...served().slice(0, 3), late, ...served().slice(3)];
    const input = { tag: 'T', served: values, gaps: [], untilUs: 20 * SECOND_US };
    const polled = proveTag({ ...input, archived: complete, pauseMaxMs: 15_000, scanMs: 1000 });
    expect(polled).toMatchObject({ produced: 11, archived: 10, superseded: 1, lost: 0 });
    const subscribed = proveTag({ ...input, archived: complete, pauseMaxMs: 15_000, scanMs: null });
    expect(subscribed).toMatchObject({ superseded: 0, lost: 1 });
  });

  it('is not ok when a tag served nothing, or when there is no tag', () => {
    expect(sumProofs([]).ok).toBe(false);
    const proof = proveTag({
      tag: 'T',
      served: [],
      archived: [],
      gaps: [],
      untilUs: 0,
      pauseMaxMs: null,
      scanMs: null,
    });
    expect(sumProofs([proof]).ok).toBe(false);
  });
});
