import { describe, expect, test } from 'vitest';
import { Mark, markNames } from '../domain/marks.ts';
import { Quality } from '../domain/quality.ts';
import {
  allOf,
  blockOf,
  DICTIONARY,
  STREAM,
  STREAM_2,
  sampleOf,
  streamOf,
  transactionOf,
} from './archive.fixture.ts';
import type { Archive, ArchiveBlock } from './archive.ts';

const RIVAL_HASH = 'c'.repeat(32);
const LATER_RUN = '3'.repeat(32);
const SCAN_MS = 1000;
const SECOND = 1_000_000;
/** `P1.a` is polled each second, all others are subscribed. */
const POLLED = {
  ...DICTIONARY,
  tags: DICTIONARY.tags.map((tag) => (tag.name === 'P1.a' ? { ...tag, scanMs: SCAN_MS } : tag)),
};

const [LOWER, HIGHER] = [16, 32];

interface Told {
  readonly streamId: string;
  readonly term: number;
  readonly first: number;
  /** In seconds, with values. */
  readonly points: readonly (readonly [atS: number, value: number, tagIndex?: number, quality?: number])[];
}

function told({ streamId, term, first, points }: Told): ArchiveBlock {
  const samples = points.map(([atS, value, tagIndex = 0, quality = Quality.good]) => {
    return sampleOf(atS * SECOND, tagIndex === 1 ? BigInt(value) : value, { tagIndex, quality });
  });
  return { ...blockOf(first, samples, { streamId, hash: RIVAL_HASH, dictionary: POLLED }), term };
}

/** What every archive does where two instances of a process tell of the same time. */
export function rivalsContract(archiveOf: () => Archive, reopen: () => Promise<Archive>): void {
  const begin = async (): Promise<void> => {
    await archiveOf().putDictionary(RIVAL_HASH, new Uint8Array(), POLLED);
    const other = streamOf(STREAM_2, { instance: 2 });
    await archiveOf().commit(transactionOf({ streams: [streamOf(), other] }));
  };
  const commit = (...blocks: ArchiveBlock[]): Promise<void> => archiveOf().commit(transactionOf({ blocks }));
  const shown = async (tag: string): Promise<string[]> => {
    const rows = await archiveOf().samples({ ...allOf(tag), withMarked: true });
    return rows.map(({ streamId, value, marks }) => {
      return [streamId === STREAM ? 1 : 2, value, ...markNames(marks)].join(' ');
    });
  };
  const lower = told({
    streamId: STREAM,
    term: LOWER,
    first: 1,
    points: [
      [0, 10],
      [2, 12],
      [9, 19],
    ],
  });
  const higher = told({
    streamId: STREAM_2,
    term: HIGHER,
    first: 1,
    points: [
      [4, 24],
      [5, 25],
    ],
  });
  const marked = ['1 10', '1 12 overlap', '2 24', '2 25', '1 19'];

  describe('two instances of a process', () => {
    test('a polled row of a lower term within two scans is an overlap, whichever came first', async () => {
      await begin();
      await commit(lower);
      expect(await shown('P1.a')).toEqual(['1 10', '1 12', '1 19']);
      await commit(higher);
      expect(await shown('P1.a')).toEqual(marked);
      expect((await archiveOf().samples(allOf('P1.a'))).map(({ value }) => value)).toEqual([10, 24, 25, 19]);
      expect((await archiveOf().stat()).marked).toEqual({ overlap: 1, duplicate: 0 });
    });

    test('also when the lower term comes later, in pieces, and after a restart of the archive', async () => {
      await begin();
      await commit(higher);
      await commit(told({ streamId: STREAM, term: LOWER, first: 1, points: [[0, 10]] }));
      const archive = await reopen();
      const rest = told({
        streamId: STREAM,
        term: LOWER,
        first: 2,
        points: [
          [2, 12],
          [9, 19],
        ],
      });
      await archive.commit(transactionOf({ blocks: [rest] }));
      expect(await shown('P1.a')).toEqual(marked);
    });

    test('and in one transaction', async () => {
      await begin();
      await commit(higher, lower);
      expect(await shown('P1.a')).toEqual(marked);
    });

    test('a later run of the instance that told better leaves the marks as they were', async () => {
      await begin();
      await commit(lower);
      await commit(higher);
      const run = { streamId: LATER_RUN, term: HIGHER + 16, first: 1 };
      const streams = [streamOf(LATER_RUN, { instance: 2 })];
      await archiveOf().commit(transactionOf({ streams }));
      await commit(told({ ...run, points: [[11, 31]] }));
      expect(await shown('P1.a')).toEqual(['1 10', '1 12 overlap', '2 24', '2 25', '1 19 overlap', '2 31']);
    });

    test('also minutes apart, and not what nobody else tells of in between', async () => {
      await begin();
      const [low, high] = [
        { streamId: STREAM, term: LOWER },
        { streamId: STREAM_2, term: HIGHER },
      ];
      await commit(
        told({
          ...{ ...low, first: 1 },
          points: [
            [0, 10],
            [1000, 11],
          ],
        }),
      );
      await commit(
        told({ ...high, first: 1, points: [[1, 21]] }),
        told({ ...high, first: 2, points: [[400, 7]] }),
        told({ ...high, first: 3, points: [[999, 22]] }),
      );
      expect(await shown('P1.a')).toEqual([...['1 10 overlap', '2 21', '2 7', '2 22', '1 11 overlap']]);
    });

    test('equal subscribed rows are a duplicate on the lower term; others are kept', async () => {
      await begin();
      await commit(
        told({
          streamId: STREAM,
          term: LOWER,
          first: 1,
          points: [
            [1, 7, 1],
            [2, 8, 1],
            [2, 8, 1],
          ],
        }),
        told({
          streamId: STREAM_2,
          term: HIGHER,
          first: 1,
          points: [
            [1, 7, 1],
            [2, 9, 1],
          ],
        }),
      );
      expect(await shown('P1.b')).toEqual(['1 7 duplicate', '2 7', '1 8', '1 8', '2 9']);
      expect((await archiveOf().stat()).marked).toEqual({ overlap: 0, duplicate: 1 });
    });

    test('a replay that repairs leaves the marks as they were', async () => {
      await begin();
      await commit(lower);
      await commit(higher);
      await commit({ ...lower, repair: true });
      expect(await shown('P1.a')).toEqual(marked);
    });

    test('a clock fix that moves rows apart takes the marks back, together sets them', async () => {
      await begin();
      await commit(lower);
      await commit(higher);
      const fix = (offsetUs: number) => {
        const clockFixes = [{ streamId: STREAM_2, firstSequence: 1, lastSequence: 2, offsetUs }];
        return archiveOf().commit(transactionOf({ clockFixes }));
      };
      await fix(60 * SECOND);
      expect(await shown('P1.a')).toEqual(['1 10', '1 12', '1 19', '2 24', '2 25']);
      await fix(-5 * SECOND);
      expect(await shown('P1.a')).toEqual(['2 24', '1 10 overlap', '2 25', '1 12 overlap', '1 19']);
    });

    test('a bad quality that the better row hides is no change of quality', async () => {
      await begin();
      const { badTimeout } = Quality;
      await commit(
        told({
          streamId: STREAM,
          term: LOWER,
          first: 1,
          points: [
            [0, 1],
            [5, 2, 0, badTimeout],
          ],
        }),
        told({
          streamId: STREAM_2,
          term: HIGHER,
          first: 1,
          points: [
            [6, 3],
            [7, 4],
          ],
        }),
      );
      const interval = allOf('P1.a');
      expect((await archiveOf().qualityChanges(interval)).map(({ quality }) => quality)).toEqual([
        Quality.good,
      ]);
      const of = await archiveOf().qualityChangesOf({ ...interval, tags: ['P1.a'] });
      expect(of.get('P1.a')).toHaveLength(1);
    });

    test('marks of how a row came stay beside these', async () => {
      await begin();
      await commit({ ...lower, marks: Mark.replayed }, higher);
      expect((await shown('P1.a')).slice(0, 2)).toEqual(['1 10 replayed', '1 12 replayed overlap']);
    });
  });
}
