import { expect, test } from 'vitest';
import { Mark } from '../domain/marks.ts';
import { Quality } from '../domain/quality.ts';
import { allOf, blockOf, sampleOf, T0, transactionOf } from './archive.fixture.ts';
import type { Archive } from './archive.ts';

const MINUTE_US = 60_000_000;

/**
 * What every archive tells of many tags, and of what came late. Its stream and dictionary are known
 * already.
 */
export function lateContract(archiveOf: () => Archive): void {
  test('changes of quality of many tags are those of each', async () => {
    const { good, badTimeout: bad } = Quality;
    const qualities = [good, good, bad, bad, good, good, bad];
    const of = (tagIndex: number, flip: boolean) =>
      qualities.map((quality, i) => sampleOf(i * 10, i, { tagIndex, quality: flip ? quality : good }));
    await archiveOf().commit(transactionOf({ blocks: [blockOf(1, [...of(0, true), ...of(1, false)])] }));
    const interval = { site: 'S', fromUs: T0 + 15, toUs: T0 + 60 };
    const found = await archiveOf().qualityChangesOf({ ...interval, tags: ['P1.a', 'P1.b', 'P2.c'] });
    for (const tag of ['P1.a', 'P1.b']) {
      expect(found.get(tag)).toEqual(await archiveOf().qualityChanges({ ...interval, tag }));
    }
    expect(found.get('P1.a')).toHaveLength(3);
    expect(found.has('P2.c')).toBe(false);
  });

  test('what comes long after its time is told, one range for each station', async () => {
    const commit = (first: number, tagIndexes: number[], receivedAtUs: number): Promise<void> => {
      const samples = tagIndexes.map((tagIndex, i) => sampleOf((first + i) * 1000, 1, { tagIndex }));
      return archiveOf().commit({ ...transactionOf({ blocks: [blockOf(first, samples)] }), receivedAtUs });
    };
    const told = async (fromUs = 0, toUs = T0 * 2) =>
      (await archiveOf().lateRanges({ fromUs, toUs })).map((range) => [
        ...[range.station, range.fromUs - T0, range.toUs - T0],
        ...[(range.sinceUs - T0) / MINUTE_US, (range.completedAtUs - T0) / MINUTE_US],
      ]);
    await commit(1, [0, 0], T0 + MINUTE_US);
    expect(await told()).toEqual([]);
    await commit(3, [0, 2, 1], T0 + 10 * MINUTE_US);
    await commit(3, [0, 2, 1, 0], T0 + 10.5 * MINUTE_US);
    await commit(3, [0, 2, 1, 0], T0 + 12 * MINUTE_US);
    await commit(7, [2], T0 + 20 * MINUTE_US);
    expect(await told()).toEqual([
      ['P1', 3000, 6001, 10, 10.5],
      ['P2', 4000, 4001, 10, 10],
      ['P2', 7000, 7001, 20, 20],
    ]);
    expect(await told(T0 + 11 * MINUTE_US, T0 + 21 * MINUTE_US)).toHaveLength(1);
    expect(await archiveOf().lateRanges({ site: 'other', fromUs: 0, toUs: T0 * 2 })).toEqual([]);
    expect(await archiveOf().samples(allOf('P2.c'))).toHaveLength(2);
  });

  test('marks and term of a block are on its rows', async () => {
    const marks = Mark.replayed | Mark.duplicate;
    const first = { ...blockOf(1, [sampleOf(1, 1), sampleOf(2, 2)]), marks, term: 7 };
    await archiveOf().commit(transactionOf({ blocks: [first, blockOf(3, [sampleOf(3, 3)])] }));
    const rows = await archiveOf().samples(allOf('P1.a', { withMarked: true }));
    expect(rows.map((row) => [row.term, row.marks].join(' '))).toEqual([`7 ${marks}`, `7 ${marks}`, '0 0']);
  });
}
