import { expect, test } from 'vitest';
import type { TimeGap } from '../domain/sample.ts';
import {
  allOf,
  blockOf,
  DICTIONARY,
  gapOf,
  HASH,
  STREAM,
  sampleOf,
  streamOf,
  T0,
  transactionOf,
} from './archive.fixture.ts';
import type { Archive } from './archive.ts';

const DAY_US = 86_400_000_000;
/** By it the two newest months are kept, and the one before. */
const RETENTION_MS = (60 * DAY_US) / 1000;

/** How to open an archive again with a retention; it is then `nowUs`. */
export interface Retained {
  readonly nowUs: number;
  readonly reopen: (retentionMs: number) => Promise<Archive>;
}

interface Under {
  readonly archive: Archive;
  /** Not given: it keeps everything. */
  readonly retained?: Retained;
}

/**
 * What every archive does that drops what is old. Stream and dictionary are known already to the archive
 * under test, and not to `another`.
 */
export function retentionContract(under: () => Under, another: () => Promise<Under>): void {
  test('a month goes when it is old and nothing of it was received within the retention', async (context) => {
    const { archive, retained } = under();
    if (retained === undefined) return context.skip('this archive has no retention');
    const { nowUs } = retained;
    const at = (daysAgo: number): number => nowUs - daysAgo * DAY_US;
    const gapAt = (daysAgo: number, reason: TimeGap['reason']): TimeGap => {
      return { station: null, tags: [], fromUs: at(daysAgo), toUs: at(daysAgo) + 1000, reason };
    };
    const sample = (daysAgo: number) => sampleOf(at(daysAgo) - T0, daysAgo);
    const whole = allOf('P1.a', { fromUs: 0, toUs: nowUs * 2 });
    const told = async (of: Archive) => ({
      values: (await of.samples(whole)).map(({ value }) => value),
      gaps: (await of.gaps(whole)).map((gap) => [gap.reason, Math.round((nowUs - gap.fromUs) / DAY_US)]),
    });
    const before = [sample(400), sample(300), sample(200), gapAt(400, 'overload'), gapAt(200, 'overload')];
    await archive.commit(
      transactionOf({
        ...{ streams: [streamOf()], blocks: [blockOf(1, before)], receivedAtUs: at(100) },
        gaps: [gapOf(20, 20, { fromUs: at(300), toUs: at(300) + 1000 })],
      }),
    );
    // A device whose clock is years behind, and one whose clock is right.
    const fresh = [sample(300), gapAt(300, 'station-down'), sample(35), sample(0)];
    await archive.commit(
      transactionOf({
        ...{ blocks: [blockOf(6, fresh)], receivedAtUs: nowUs },
        gaps: [gapOf(30, 30, { fromUs: at(200), toUs: at(200) + 1000 })],
        observed: [{ streamId: STREAM, untilUs: nowUs }],
      }),
    );
    const coverage = await archive.coverage(STREAM);
    const kept = await retained.reopen(RETENTION_MS);
    expect(await told(kept)).toEqual({
      values: [300, 300, 35, 0],
      gaps: [
        ['station-down', 300],
        ['evicted', 200],
      ],
    });
    expect(await kept.coverage(STREAM)).toEqual(coverage);
    // A clock fix moves what came long ago out of that month, and what came now into one that is not there.
    const moved = { streamId: STREAM, firstSequence: 2, lastSequence: 2, offsetUs: -50 * DAY_US };
    const fixed = { streamId: STREAM, firstSequence: 6, lastSequence: 6, offsetUs: -100 * DAY_US };
    await kept.commit(transactionOf({ clockFixes: [moved, fixed] }));
    const later = await retained.reopen(RETENTION_MS);
    expect((await later.samples(whole)).map(({ value, sequence }) => [value, sequence])).toEqual([
      [300, 6],
      [35, 8],
      [0, 9],
    ]);
  });

  test('clocks that are all a year ahead cost the oldest month, and not the archive', async (context) => {
    const { archive, retained } = await another();
    if (retained === undefined) return context.skip('this archive has no retention');
    const { nowUs } = retained;
    const at = (daysAgo: number): number => nowUs - daysAgo * DAY_US;
    const gapAt = (daysAgo: number): TimeGap => {
      return { station: null, tags: [], fromUs: at(daysAgo), toUs: at(daysAgo) + 1000, reason: 'overload' };
    };
    const whole = allOf('P1.a', { fromUs: 0, toUs: nowUs * 2 });
    const told = async (of: Archive) => ({
      values: (await of.samples(whole)).map(({ value }) => value),
      gaps: (await of.gaps(whole)).map((gap) => Math.round((nowUs - gap.fromUs) / DAY_US)).sort(),
    });
    await archive.putDictionary(HASH, new Uint8Array([1]), DICTIONARY);
    const put = (first: number, days: readonly number[], receivedDaysAgo: number) => {
      const entries = days.flatMap((daysAgo) => [sampleOf(at(daysAgo) - T0, daysAgo), gapAt(daysAgo)]);
      const untilUs = at(receivedDaysAgo);
      return {
        blocks: [blockOf(first, entries)],
        receivedAtUs: untilUs,
        observed: [{ streamId: STREAM, untilUs }],
      };
    };
    const streams = [streamOf(STREAM, { startedAtUs: at(701) })];
    await archive.commit(transactionOf({ streams, ...put(1, [700, 600, 500], 495) }));
    await archive.commit(transactionOf(put(7, [440, 400], 400)));
    // Nobody has told of a later time yet: what is old counts from what was observed last.
    const kept = await retained.reopen(RETENTION_MS);
    expect(await told(kept)).toEqual({ values: [440, 400], gaps: [400, 440] });
    // Agents that have their time from there tell of it.
    await kept.commit(transactionOf(put(11, [0], 0)));
    expect(await told(await retained.reopen(RETENTION_MS))).toEqual({ values: [400, 0], gaps: [0, 400] });
  });
}
