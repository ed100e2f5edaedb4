import { describe, expect, test } from 'vitest';
import { decodeBlock, encodeBlock } from '../domain/block/codec.ts';
import { RunEncoder } from '../domain/block/run-encoder.ts';
import type { ClockFix } from '../domain/clock-fix.ts';
import type { ArchivedClockFix } from '../domain/clock-offsets.ts';
import type { Dictionary } from '../domain/dictionary.ts';
import type { EntryRun } from '../domain/entry-run.ts';
import { Mark } from '../domain/marks.ts';
import { Quality } from '../domain/quality.ts';
import { type BlockEntry, isClockFix, type TimeGap } from '../domain/sample.ts';
import {
  allOf,
  DICTIONARY,
  gapOf,
  HASH,
  STREAM,
  STREAM_2,
  sampleOf,
  streamOf,
  T0,
  tagOf,
  transactionOf,
} from './archive.fixture.ts';
import type { Archive, ArchiveBlock, ArchiveTransaction } from './archive.ts';

const SECOND = 1_000_000;
const DAY = 86_400 * SECOND;
const LATER = '1'.repeat(32);
/** `P1.a` has another name, `P1.b` another unit, and there is a new one. */
const RENAMED: Dictionary = {
  ...DICTIONARY,
  tags: [
    tagOf('P9.new'),
    tagOf('P1.b', { type: 'int64', unit: 'MWh' }),
    tagOf('P7.a', { formerly: ['P1.a'] }),
  ],
};
const RIVAL = '3'.repeat(32);
const STREAMS = [
  streamOf(),
  streamOf(STREAM_2, { startedAtUs: T0 + 39 }),
  streamOf(RIVAL, { instance: 2, startedAtUs: T0 + 5 }),
];
/** Small pages: runs are cut where nothing else cuts them. */
const PAGE = 7;
/** Blocks in one transaction. */
const GROUP = 8;

interface Brought {
  readonly streamId?: string;
  readonly hash?: string;
  readonly marks?: number;
  readonly term?: number;
}

function brought(first: number, entries: readonly BlockEntry[], more: Brought = {}): ArchiveTransaction {
  const { streamId = STREAM, hash = HASH, marks = 0, term = 0 } = more;
  const uncertain = (marks & Mark.clockUncertain) === 0 ? {} : { isClockUncertain: true as const };
  const place = { streamId, firstSequence: first, dictionaryHash: hash, sealedMonotonicUs: 0, ...uncertain };
  const dictionary = hash === HASH ? DICTIONARY : RENAMED;
  const block = { block: decodeBlock(encodeBlock(entries, place)), dictionary, marks, term };
  return transactionOf({ blocks: [block], clockFixes: fixesIn(streamId, first, entries) });
}

/** As a Kernel takes them out of blocks: those of streams that it knows. */
function fixesIn(streamId: string, first: number, entries: readonly BlockEntry[]): ArchivedClockFix[] {
  return entries.flatMap((entry, at) => {
    if (!isClockFix(entry) || !STREAMS.some((each) => each.streamId === entry.streamId)) return [];
    const { atUs, ...fix } = entry;
    return [{ ...fix, by: { streamId, sequence: first + at, atUs } }];
  });
}

const fixOf = (firstSequence: number, lastSequence: number, offsetUs: number, atUs = T0): ClockFix => ({
  ...{ streamId: STREAM, firstSequence, lastSequence, offsetUs, atUs },
});
const gap: TimeGap = { station: 'P1', tags: [], fromUs: T0, toUs: T0 + SECOND, reason: 'station-down' };

/** Something of everything. */
const STORY: readonly ArchiveTransaction[] = [
  brought(1, [
    ...[Number.NaN, -0, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1.5e-300].map((value, at) =>
      sampleOf(at, value),
    ),
    ...[2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n, -7n].map((value, at) =>
      sampleOf(at, value, { tagIndex: 1 }),
    ),
    ...['', 'a\u0000b', 'žluťoučký 🐎'].map((value, at) => sampleOf(at, value, { tagIndex: 2 })),
    ...[true, false, null].map((value, at) => sampleOf(at, value, { quality: 0x80000000 + at })),
    sampleOf(20, 1, { deviceTimeUs: T0 + 20, cause: 'backfill' }),
    sampleOf(21, 2, { deviceTimeUs: T0 - DAY, cause: 'snapshot' }),
  ]),
  brought(19, [
    { ...gap, count: 3 },
    { ...gap, reason: 'takeover', isOneClock: true },
    { ...gap, reason: 'takeover' },
  ]),
  brought(22, [sampleOf(22, 22), sampleOf(23, 23)], { marks: Mark.replayed, term: 31 }),
  brought(24, [sampleOf(24, 24), sampleOf(25, 25)], { marks: Mark.clockUncertain, term: 31 }),
  brought(26, [fixOf(2, 25, 3600 * SECOND), sampleOf(26, 26)], { term: 47 }),
  brought(28, [sampleOf(28, 1n, { tagIndex: 1 }), sampleOf(29, 29, { tagIndex: 2 }), sampleOf(30, 0)], {
    hash: LATER,
    term: 47,
  }),
  // Later words on the same numbers: to another month, and back to where they were.
  brought(31, [fixOf(8, 20, -40 * DAY), fixOf(2, 3, 0), { ...gap, station: null, tags: ['P1.b'] }]),
  transactionOf({ gaps: [gapOf(34, 35)] }),
  brought(36, [sampleOf(36, 36), sampleOf(37, 'x', { quality: Quality.good, tagIndex: 2 })]),
  // Of an earlier stream, by the next one; and of a stream that nobody knows.
  brought(1, [sampleOf(40, 40), fixOf(24, 24, 77), { ...fixOf(1, 2, 5), streamId: 'f'.repeat(32) }], {
    streamId: STREAM_2,
  }),
  brought(1, [sampleOf(36, 36), sampleOf(SECOND, 9)], { streamId: RIVAL, term: 63 }),
];

/** What an archive gives of itself by numbers. */
export function entriesContract(archiveOf: () => Archive, another: () => Promise<Archive>): void {
  const begin = async (archive: Archive): Promise<void> => {
    await archive.putDictionary(LATER, new Uint8Array([2]), RENAMED);
    await archive.commit(transactionOf({ streams: STREAMS }));
  };

  describe('entries by number', () => {
    test('make the same archive again, whatever comes first', async () => {
      const archive = archiveOf();
      await begin(archive);
      for (const transaction of STORY) await archive.commit(transaction);
      const expected = await everything(archive);
      let last = archive;
      for (const arrange of [
        (list: ArchiveTransaction[]) => list,
        (list: ArchiveTransaction[]) => list.reverse(),
      ]) {
        const copy = await another();
        await copyInto(copy, archive, arrange);
        expect(await everything(copy)).toEqual(expected);
        last = copy;
      }
      // And a copy makes it once more.
      const third = await another();
      await copyInto(third, last, (list) => list);
      expect(await everything(third)).toEqual(expected);
      // A later fix moves the copy as it moves the first one: raw times are known there too.
      const later = brought(38, [fixOf(1, 30, 12_345)]);
      for (const each of [archive, third]) await each.commit(later);
      expect(await everything(third)).toEqual(await everything(archive));
      const [row] = (await third.samples(allOf('P1.a'))).filter(({ sequence }) => sequence === 22);
      expect(row).toMatchObject({ rawTimeUs: T0 + 22, sourceTimeUs: T0 + 22 + 12_345 });
    });

    test('are told up to a number, over holes of any size', async () => {
      const archive = archiveOf();
      await archive.commit(brought(5, [sampleOf(5, 5), sampleOf(6, 6)]));
      await archive.commit(brought(5_000_000, [gap, sampleOf(8, 8)]));
      const ask = async (first: number, last: number, limit: number) => {
        const { runs, through } = await archive.entries({ streamId: STREAM, first, last, limit });
        return [...runs.map(({ firstSequence, entries }) => [firstSequence, entries.length]), through];
      };
      expect(await ask(1, 9_000_000, 4)).toEqual([4]);
      expect(await ask(5, 9_000_000, 1)).toEqual([[5, 1], 5]);
      expect(await ask(6, 6, 100)).toEqual([[6, 1], 6]);
      expect(await ask(7, 9_000_000, 10)).toEqual([4_999_999]);
      expect(await ask(5_000_000, 9_000_000, 2)).toEqual([[5_000_000, 2], 5_000_001]);
      expect(await ask(5_000_002, 9_000_000, 10)).toEqual([9_000_000]);
      expect(await archive.entries({ streamId: '9'.repeat(32), first: 1, last: 3, limit: 9 })).toEqual({
        ...{ runs: [], through: 3 },
      });
    });

    test('what a fix moved of which the entry is not known is given as it is shown', async () => {
      const archive = archiveOf();
      await archive.commit(brought(1, [sampleOf(1, 1), sampleOf(2, 2, { deviceTimeUs: T0 + 2 }), gap]));
      const fix = { streamId: STREAM, firstSequence: 1, lastSequence: 3, offsetUs: 5 * SECOND };
      await archive.commit(transactionOf({ clockFixes: [fix] }));
      const { runs } = await archive.entries({ streamId: STREAM, first: 1, last: 3, limit: 9 });
      expect(runs.flatMap(({ entries }) => entries)).toMatchObject([
        { sourceTimeUs: T0 + 1 + 5 * SECOND },
        { sourceTimeUs: T0 + 2, deviceTimeUs: T0 + 2 },
        { fromUs: gap.fromUs + 5 * SECOND, toUs: gap.toUs + 5 * SECOND },
      ]);
    });

    test('dictionaries are told in the order in which they came', async () => {
      const hashes = ['9', '2', '7'].map((digit) => digit.repeat(32));
      for (const hash of hashes) await archiveOf().putDictionary(hash, new Uint8Array([1]), RENAMED);
      expect(await archiveOf().dictionaries()).toEqual([HASH, ...hashes]);
    });
  });
}

/** All that can be asked of an archive. */
async function everything(archive: Archive) {
  const tags = ['P1.a', 'P1.b', 'P2.c', 'P7.a', 'P9.new'];
  const ofTags = await Promise.all(
    tags.map(async (tag) => ({
      samples: await archive.samples({ ...allOf(tag), withMarked: true, withPrevious: true }),
      shown: await archive.samples(allOf(tag)),
      qualities: await archive.qualityChanges(allOf(tag)),
      gaps: (await archive.gaps(allOf(tag))).sort(byText),
      streams: await archive.tagStreams({ site: 'S', tag }),
    })),
  );
  const { sizeBytes: _, ...stat } = await archive.stat();
  return { ofTags, stat, tags: await archive.tags(), streams: await archive.streams('S', 'KomA') };
}

const byText = (one: unknown, other: unknown): number =>
  JSON.stringify(one).localeCompare(JSON.stringify(other));

/** Commits into an archive what another one gives, in an order of any kind. */
async function copyInto(
  copy: Archive,
  archive: Archive,
  arrange: (transactions: ArchiveTransaction[]) => ArchiveTransaction[],
): Promise<void> {
  for (const hash of await archive.dictionaries()) {
    await copy.putDictionary(hash, new Uint8Array([1]), (await archive.dictionary(hash)) ?? DICTIONARY);
  }
  await copy.commit(transactionOf({ streams: STREAMS }));
  const transactions: ArchiveTransaction[] = [];
  for (const { streamId } of STREAMS) {
    for (let first = 1; first <= 40; ) {
      const { runs, through } = await archive.entries({ streamId, first, last: 40, limit: PAGE });
      for (const run of runs) transactions.push(...(await blocksOf(copy, run)));
      first = through + 1;
    }
  }
  const arranged = arrange(transactions);
  for (let at = 0; at < arranged.length; at += GROUP) {
    const group = arranged.slice(at, at + GROUP);
    const clockFixes = group.flatMap((each) => each.clockFixes ?? []);
    await copy.commit(transactionOf({ blocks: group.flatMap(({ blocks }) => blocks), clockFixes }));
  }
  const gaps = await archive.gaps(allOf('P1.b'));
  const lost = gaps.flatMap((each) => (each.kind === 'sequence' ? [each] : []));
  await copy.commit(transactionOf({ gaps: lost }));
}

async function blocksOf(copy: Archive, run: EntryRun): Promise<ArchiveTransaction[]> {
  const dictionary = (await copy.dictionary(run.dictionaryHash)) ?? DICTIONARY;
  return new RunEncoder().encode(run, PAGE).map((each) => {
    const block = decodeBlock(each);
    const { firstSequence, term = 0, isClockUncertain } = each.header;
    const uncertain = isClockUncertain === true ? Mark.clockUncertain : 0;
    const marks = uncertain | (run.isReplayed ? Mark.replayed : 0);
    const row: ArchiveBlock = { block, dictionary, marks, term };
    return transactionOf({
      blocks: [row],
      clockFixes: fixesIn(run.streamId, firstSequence, run.entries),
    });
  });
}
