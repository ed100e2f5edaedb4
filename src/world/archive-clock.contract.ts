import { describe, expect, test } from 'vitest';
import type { ArchivedClockFix } from '../domain/clock-offsets.ts';
import { OPEN_END } from '../domain/gap.ts';
import type { Entry, Sample } from '../domain/sample.ts';
import {
  allOf,
  blockOf,
  gapOf,
  STREAM,
  STREAM_2,
  sampleOf,
  streamOf,
  T0,
  transactionOf,
} from './archive.fixture.ts';
import type { Archive, SampleQuery } from './archive.ts';

/** What every archive does with clock fixes. Its stream and dictionary are known already. */
export function clockFixContract(archiveOf: () => Archive): void {
  const put = (first: number, entries: readonly Entry[]): Promise<void> =>
    archiveOf().commit(transactionOf({ blocks: [blockOf(first, entries)] }));
  const run = (from: number, to: number): Sample[] =>
    Array.from({ length: to - from + 1 }, (_, i) => sampleOf((from + i) * 1000, from + i));

  describe('clock fixes', () => {
    const fixOf = (firstSequence: number, lastSequence: number, offsetUs: number): ArchivedClockFix => ({
      ...{ streamId: STREAM, firstSequence, lastSequence, offsetUs },
    });
    const fix = (...clockFixes: ArchivedClockFix[]): Promise<void> =>
      archiveOf().commit(transactionOf({ clockFixes }));
    const times = async (more: Partial<SampleQuery> = {}): Promise<number[][]> =>
      (await archiveOf().samples(allOf('P1.a', more))).map((row) => [
        ...[row.sequence, row.sourceTimeUs - T0, row.rawTimeUs - T0],
      ]);

    test('move what is there and keep the raw times; again changes nothing', async () => {
      await put(1, run(1, 4));
      for (const _ of [1, 2]) {
        await fix(fixOf(2, 3, 50_000));
        expect(await times()).toEqual([
          [1, 1000, 1000],
          [4, 4000, 4000],
          [2, 52_000, 2000],
          [3, 53_000, 3000],
        ]);
      }
      expect(await times({ fromUs: T0 + 52_000, toUs: T0 + 53_000 })).toEqual([[2, 52_000, 2000]]);
    });

    test('hold for what comes into their range later, in order, with the blocks or before them', async () => {
      await fix(fixOf(1, 9, -500));
      await put(2, run(2, 3));
      await archiveOf().commit(
        transactionOf({ blocks: [blockOf(1, run(1, 5))], clockFixes: [fixOf(3, 4, 7), fixOf(4, 20, 9)] }),
      );
      await put(6, run(6, 6));
      expect(await times()).toEqual([
        [1, 500, 1000],
        [2, 1500, 2000],
        [3, 3007, 3000],
        [4, 4009, 4000],
        [5, 5009, 5000],
        [6, 6009, 6000],
      ]);
      await fix(fixOf(1, 6, 0));
      expect((await times()).every(([, corrected, raw]) => corrected === raw)).toBe(true);
      await put(7, run(7, 7));
      expect((await times()).at(-1)).toEqual([7, 7009, 7000]);
    });

    test('of the first numbers move the start, and what was concluded up to there', async () => {
      const other = '7'.repeat(32);
      const gaps = [
        { ...gapOf(5, OPEN_END, { reason: 'crash' }), fromUs: T0 - 70, toUs: T0 + 100 },
        { ...gapOf(3, 4, { reason: 'evicted' }), fromUs: T0 - 90, toUs: T0 + 100 },
        { ...gapOf(1, OPEN_END, { streamId: other, reason: 'store-lost' }), fromUs: T0 - 80, toUs: T0 + 100 },
      ];
      const streams = [streamOf(STREAM_2, { startedAtUs: T0 + 100 }), streamOf(other, { instance: 2 })];
      await archiveOf().commit(transactionOf({ streams, blocks: [blockOf(1, run(1, 2))], gaps }));
      const ends = async (): Promise<unknown[]> =>
        (await archiveOf().gaps(allOf('P1.a'))).map(({ reason, toUs }) => [reason, toUs - T0]);
      const isFixed = (firstSequence: number, offsetUs: number): Promise<void> =>
        fix({ ...fixOf(firstSequence, 9, offsetUs), streamId: STREAM_2 });
      await isFixed(2, 500);
      const asItWas = [
        ['evicted', 100],
        ['store-lost', 100],
        ['crash', 100],
      ];
      expect(await ends()).toEqual(asItWas);
      for (const _ of [1, 2]) {
        await isFixed(1, 7_000_000);
        expect(await ends()).toEqual([
          ['evicted', 100],
          ['store-lost', 100],
          ['crash', 7_000_100],
        ]);
      }
      await isFixed(1, -1000);
      expect(await ends(), 'never before its begin').toEqual([
        ['evicted', 100],
        ['store-lost', 100],
        ['crash', -70],
      ]);
    });

    test('may carry samples into other months and back', async () => {
      const day = 86_400_000_000;
      await put(1, run(1, 6));
      await fix(fixOf(2, 4, 40 * day), fixOf(5, 5, -400 * day));
      expect((await times()).map(([sequence]) => sequence)).toEqual([5, 1, 6, 2, 3, 4]);
      await fix(fixOf(3, 4, 80 * day), fixOf(2, 2, 5), fixOf(5, 5, 0));
      expect(await times()).toEqual([
        [1, 1000, 1000],
        [2, 2005, 2000],
        [5, 5000, 5000],
        [6, 6000, 6000],
        [3, 3000 + 80 * day, 3000],
        [4, 4000 + 80 * day, 4000],
      ]);
      expect((await archiveOf().stat()).samples).toBe(6);
    });

    test('leave alone the times that a device gave', async () => {
      const timed = [1, 2].map((at) => sampleOf(at, at, { deviceTimeUs: T0 + at }));
      await put(1, [...timed, sampleOf(3, 3, { deviceTimeUs: T0 - 3 })]);
      await fix(fixOf(1, 9, 1000));
      await put(4, timed);
      expect(await times()).toEqual([
        [1, 1, 1],
        [4, 1, 1],
        [2, 2, 2],
        [5, 2, 2],
        [3, 1003, 3],
      ]);
      const rows = await archiveOf().samples(allOf('P1.a'));
      expect(rows.map((row) => (row.deviceTimeUs ?? 0) - T0)).toEqual([1, 1, 2, 2, -3]);
    });

    test('move time gaps, but not the start that the run before told', async () => {
      const gap = { station: null, tags: [], fromUs: T0, toUs: T0 + 10 } as const;
      const entries: Entry[] = [
        { ...gap, reason: 'station-down' },
        { ...gap, reason: 'agent-stopped' },
      ];
      await put(1, entries);
      await fix(fixOf(1, 9, 1000));
      await put(3, entries);
      const spans = async (): Promise<number[][]> =>
        (await archiveOf().gaps(allOf('P1.a')))
          .map((each) => [each.kind === 'time' ? each.sequence : 0, each.fromUs - T0, each.toUs - T0])
          .sort(([a = 0], [b = 0]) => a - b);
      const moved = [
        [1, 1000, 1010],
        [2, 0, 1010],
        [3, 1000, 1010],
        [4, 0, 1010],
      ];
      expect(await spans()).toEqual(moved);
      await fix(fixOf(2, 3, 0));
      expect(await spans()).toEqual([moved[0], [2, 0, 10], [3, 0, 10], moved[3]]);
    });
  });
}
