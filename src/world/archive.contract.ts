import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Dictionary } from '../domain/dictionary.ts';
import { Quality } from '../domain/quality.ts';
import type { Entry, Sample, SampleValue } from '../domain/sample.ts';
import {
  allOf,
  blockOf,
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
import type { Archive, ArchiveTransaction, SampleQuery } from './archive.ts';
import { clockFixContract } from './archive-clock.contract.ts';
import { entriesContract } from './archive-entries.contract.ts';
import { lateContract } from './archive-late.contract.ts';
import { lossContract } from './archive-loss.contract.ts';
import { repairContract } from './archive-repair.contract.ts';
import { type Retained, retentionContract } from './archive-retention.contract.ts';
import { rivalsContract } from './archive-rivals.contract.ts';

/** An archive under test, and how to open once more what it left behind. */
export interface ArchiveFixture {
  readonly archive: Archive;
  /** Closes and opens again; `undefined` where an archive does not outlive its process. */
  readonly reopen?: () => Promise<Archive>;
  readonly retained?: Retained;
  readonly dispose: () => Promise<void>;
}

const UNAVAILABLE = expect.objectContaining({ code: 'KOM_ARCHIVE_UNAVAILABLE' });

/** What every archive does. */
export function archiveContract(name: string, make: () => Promise<ArchiveFixture>): void {
  describe(`archive contract: ${name}`, () => {
    let fixture: ArchiveFixture;
    let archive: Archive;
    const others: ArchiveFixture[] = [];
    const anotherFixture = async () => others[others.push(await make()) - 1] ?? fixture;
    const another = async (): Promise<Archive> => (await anotherFixture()).archive;

    beforeEach(async () => {
      fixture = await make();
      archive = fixture.archive;
      await archive.putDictionary(HASH, new Uint8Array([1]), DICTIONARY);
      await archive.commit(transactionOf({ streams: [streamOf()] }));
    });
    afterEach(async () => {
      for (const each of [fixture, ...others.splice(0)]) await each.dispose();
    });

    const put = (first: number, entries: readonly Entry[]): Promise<void> =>
      archive.commit(transactionOf({ blocks: [blockOf(first, entries)] }));
    const run = (from: number, to: number): Sample[] =>
      Array.from({ length: to - from + 1 }, (_, i) => sampleOf((from + i) * 1000, from + i));
    const sequences = async (tag = 'P1.a'): Promise<number[]> =>
      (await archive.samples(allOf(tag))).map((row) => row.sequence);

    test('a block that comes again, or overlaps, is in exactly once', async () => {
      await put(1, run(1, 5));
      await put(1, run(1, 5));
      await put(4, run(4, 8));
      await put(2, run(2, 3));
      expect(await sequences()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      expect(await archive.coverage(STREAM)).toEqual([{ first: 1, last: 8, state: 'data' }]);
      expect((await archive.stat()).samples).toBe(8);
    });

    test('one block twice in one transaction is in once', async () => {
      await archive.commit(
        transactionOf({ blocks: [blockOf(1, run(1, 3)), blockOf(1, run(1, 3)), blockOf(3, run(3, 6))] }),
      );
      expect(await sequences()).toEqual([1, 2, 3, 4, 5, 6]);
    });

    test('a block around what is held is trimmed by sample on both sides and inside', async () => {
      await put(4, run(4, 5));
      await put(8, run(8, 8));
      await put(1, run(1, 10));
      expect(await sequences()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    });

    test('blocks in any order merge into one range', async () => {
      await put(7, run(7, 9));
      await put(1, run(1, 3));
      expect(await archive.coverage(STREAM)).toEqual([
        { first: 1, last: 3, state: 'data' },
        { first: 7, last: 9, state: 'data' },
      ]);
      await put(4, run(4, 6));
      expect(await archive.coverage(STREAM)).toEqual([{ first: 1, last: 9, state: 'data' }]);
    });

    test('a gap fills what is uncovered, and data replaces it', async () => {
      await put(3, run(3, 4));
      await archive.commit(transactionOf({ gaps: [gapOf(1, 6)] }));
      expect(await archive.coverage(STREAM)).toEqual([
        { first: 1, last: 2, state: 'evicted' },
        { first: 3, last: 4, state: 'data' },
        { first: 5, last: 6, state: 'evicted' },
      ]);
      expect(await archive.gaps(allOf('P1.a'))).toMatchObject([
        { kind: 'sequence', firstSequence: 1, lastSequence: 2, countAtMost: 2 },
        { kind: 'sequence', firstSequence: 5, lastSequence: 6, countAtMost: 2 },
      ]);
      await put(1, run(1, 5));
      expect(await sequences()).toEqual([1, 2, 3, 4, 5]);
      expect(await archive.gaps(allOf('P1.a'))).toMatchObject([{ firstSequence: 6, lastSequence: 6 }]);
      await put(6, run(6, 6));
      expect(await archive.gaps(allOf('P1.a'))).toEqual([]);
      expect((await archive.stat()).gaps).toBe(0);
    });

    test('a gap never replaces data and is kept once', async () => {
      await put(1, run(1, 4));
      await archive.commit(transactionOf({ gaps: [gapOf(1, 4), gapOf(3, 6), gapOf(3, 6)] }));
      await archive.commit(transactionOf({ gaps: [gapOf(3, 6, { reason: 'dropped' })] }));
      expect(await archive.gaps(allOf('P1.b'))).toMatchObject([
        { firstSequence: 5, lastSequence: 6, reason: 'evicted' },
      ]);
    });

    test('values of every type come back exactly', async () => {
      const values: SampleValue[] = [
        ...[true, false, null, 2n ** 63n - 1n, -(2n ** 63n), 0n, 2n ** 53n + 1n],
        ...[0, -0, Number.NaN, Infinity, -Infinity, Number.MIN_VALUE, Number.MAX_VALUE, 0.1],
        ...['', 'short', 'Ünïcödé ✓ 漢字 🏭 e\u0301', 'with \u0000 inside', 'x'.repeat(5000), '"\\\n\t'],
      ];
      await put(
        1,
        values.map((value, i) => sampleOf(i, value, value === null ? { quality: Quality.badTimeout } : {})),
      );
      const rows = await archive.samples(allOf('P1.a'));
      expect(rows.map((row) => row.value)).toEqual(values);
      expect(Object.is(rows[8]?.value, -0)).toBe(true);
      expect(rows[2]?.quality).toBe(Quality.badTimeout);
    });

    test('cause, device time, quality and time of receipt are kept', async () => {
      const more = { cause: 'snapshot', deviceTimeUs: T0 - 77, quality: 0xffff_ffff } as const;
      await put(1, [sampleOf(1, 1, more), sampleOf(2, 2, { cause: 'substituted' })]);
      expect(await archive.samples(allOf('P1.a'))).toEqual([
        {
          ...{ sourceTimeUs: T0 + 1, receivedAtUs: T0 + 5_000_000, deviceTimeUs: T0 - 77, value: 1 },
          ...{ quality: 0xffff_ffff, cause: 'snapshot', streamId: STREAM, sequence: 1 },
          ...{ rawTimeUs: T0 + 1, term: 0, marks: 0 },
        },
        {
          ...{ sourceTimeUs: T0 + 2, receivedAtUs: T0 + 5_000_000, deviceTimeUs: null, value: 2 },
          ...{ quality: 0, cause: 'substituted', streamId: STREAM, sequence: 2 },
          ...{ rawTimeUs: T0 + 2, term: 0, marks: 0 },
        },
      ]);
    });

    test('rows come by source time, stream start, sequence; also over pages and months', async () => {
      const december = Date.UTC(2026, 11, 1) * 1000 - T0;
      const early = streamOf(STREAM_2, { startedAtUs: T0 - 1 });
      await archive.commit(
        transactionOf({
          streams: [early],
          blocks: [
            blockOf(
              1,
              [december, december - 1, 5, 5].map((at) => sampleOf(at, at)),
            ),
            blockOf(
              1,
              [december, 5, 9].map((at) => sampleOf(at, at)),
              { streamId: STREAM_2 },
            ),
          ],
        }),
      );
      const all = await archive.samples(allOf('P1.a'));
      expect(all.map((row) => [row.sourceTimeUs - T0, row.streamId, row.sequence])).toEqual([
        [5, STREAM_2, 2],
        [5, STREAM, 3],
        [5, STREAM, 4],
        [9, STREAM_2, 3],
        [december - 1, STREAM, 2],
        [december, STREAM_2, 1],
        [december, STREAM, 1],
      ]);
      for (const limit of [1, 2, 3]) {
        const paged = [];
        let page = await archive.samples(allOf('P1.a', { limit }));
        while (page.length > 0) {
          paged.push(...page);
          const after = page.at(-1);
          page = await archive.samples(allOf('P1.a', { limit, ...(after && { after }) }));
        }
        expect(paged).toEqual(all);
      }
    });

    test('the interval is half-open, and the sample before it comes first when asked for', async () => {
      await put(1, run(1, 6));
      const query = allOf('P1.a', { fromUs: T0 + 3000, toUs: T0 + 5000 });
      const found = async (more: Partial<SampleQuery>): Promise<number[]> =>
        (await archive.samples({ ...query, ...more })).map((row) => row.sequence);
      expect(await found({})).toEqual([3, 4]);
      expect(await found({ withPrevious: true })).toEqual([2, 3, 4]);
      expect(await found({ withPrevious: true, limit: 1 })).toEqual([2, 3]);
      expect(await found({ withPrevious: true, fromUs: T0 + 1000 })).toEqual([1, 2, 3, 4]);
      expect(await found({ withPrevious: true, fromUs: T0 + 60_000, toUs: T0 + 70_000 })).toEqual([6]);
    });

    test('quality changes are told without the samples between, first the one in force', async () => {
      const { good, badTimeout: bad } = Quality;
      const qualities = [good, good, bad, bad, good, good, bad];
      await put(
        1,
        qualities.map((quality, i) => sampleOf(i * 10, i, { quality })),
      );
      const changes = await archive.qualityChanges(allOf('P1.a', { fromUs: T0 + 15, toUs: T0 + 60 }));
      expect(changes.map((each) => [each.sourceTimeUs - T0, each.quality])).toEqual([
        [10, good],
        [20, bad],
        [40, good],
      ]);
    });

    test('time gaps take a number, are told once, and name a station, tags or everything', async () => {
      const base = { fromUs: T0, toUs: T0 + 10, reason: 'station-down' } as const;
      const entries: Entry[] = [
        sampleOf(20, 1),
        { ...base, station: 'P1', tags: [] },
        { ...base, station: 'P1', tags: ['P1.b'], reason: 'overload', count: 7 },
        { ...base, station: null, tags: [], reason: 'agent-stopped', toUs: T0 + 1 },
        { ...base, station: 'P2', tags: [] },
      ];
      await put(1, entries);
      await put(2, entries.slice(1));
      const told = async (tag: string, more = {}): Promise<unknown[]> =>
        (await archive.gaps(allOf(tag, more))).map((gap) => gap.kind === 'time' && gap.sequence);
      expect(await told('P1.a')).toEqual([2, 4]);
      expect(await told('P1.b')).toEqual([2, 3, 4]);
      expect(await told('P2.c')).toEqual([4, 5]);
      expect(await told('P1.a', { fromUs: T0 + 1, toUs: T0 + 2 })).toEqual([2]);
      expect(await told('P1.a', { fromUs: T0 + 10, toUs: T0 + 20 })).toEqual([]);
      expect(await told('P1.a', { fromUs: T0 - 10, toUs: T0 })).toEqual([]);
      const [gap] = (await archive.gaps(allOf('P1.b'))).filter((each) => each.reason === 'overload');
      expect(gap).toEqual({
        ...{ kind: 'time', streamId: STREAM, sequence: 3, station: 'P1', tags: ['P1.b'] },
        ...{ fromUs: T0, toUs: T0 + 10, reason: 'overload', count: 7 },
      });
      expect(await sequences()).toEqual([1]);
      expect(await archive.coverage(STREAM)).toEqual([{ first: 1, last: 5, state: 'data' }]);
    });

    test('another dictionary with another order labels its own blocks', async () => {
      const other: Dictionary = { ...DICTIONARY, tags: [tagOf('P9.new'), ...DICTIONARY.tags.toReversed()] };
      const hash = '1'.repeat(32);
      await archive.putDictionary(hash, new Uint8Array([2]), other);
      await archive.putDictionary(hash, new Uint8Array([2]), other);
      const second = [0, 1, 2, 3].map((tagIndex) => sampleOf(100, `new ${tagIndex}`, { tagIndex }));
      await put(1, [sampleOf(1, 'old 0'), sampleOf(1, 'old 2', { tagIndex: 2 })]);
      await archive.commit(transactionOf({ blocks: [blockOf(3, second, { hash, dictionary: other })] }));
      const values = async (tag: string): Promise<unknown[]> =>
        (await archive.samples(allOf(tag))).map((row) => row.value);
      expect(await values('P1.a')).toEqual(['old 0', 'new 3']);
      expect(await values('P2.c')).toEqual(['old 2', 'new 1']);
      expect(await values('P9.new')).toEqual(['new 0']);
      expect(await archive.dictionary(hash)).toEqual(other);
      expect(await archive.dictionary('0'.repeat(32))).toBeUndefined();
      expect((await archive.tags('S')).map((tag) => tag.name)).toEqual(['P1.a', 'P1.b', 'P2.c', 'P9.new']);
      expect(await archive.tags('other')).toEqual([]);
    });

    test('the history of a former name belongs to the tag, even if it comes later', async () => {
      const renamed = tagOf('P7.a', { formerly: ['P1.a'] });
      const dictionary: Dictionary = { ...DICTIONARY, tags: [renamed] };
      const hash = '2'.repeat(32);
      await put(1, [sampleOf(1, 1)]);
      await archive.putDictionary(hash, new Uint8Array([3]), dictionary);
      await archive.commit(transactionOf({ blocks: [blockOf(3, [sampleOf(3, 3)], { hash, dictionary })] }));
      const gap = { station: 'P1', tags: [], fromUs: T0, toUs: T0 + 5, reason: 'station-down' } as const;
      await put(4, [gap]);
      await put(2, [sampleOf(2, 2)]);
      expect((await archive.samples(allOf('P7.a'))).map((row) => row.value)).toEqual([1, 2, 3]);
      expect(await archive.gaps(allOf('P7.a'))).toMatchObject([{ station: 'P1' }]);
      expect(await archive.tags()).toContainEqual({ ...renamed, site: 'S', process: 'KomA' });
      expect((await archive.tags()).map((tag) => tag.name)).not.toContain('P1.a');
    });

    lossContract(() => archive);
    clockFixContract(() => archive);
    entriesContract(() => archive, another);
    lateContract(() => archive);
    repairContract({ archive: () => archive, reopen: async () => fixture.reopen?.() });
    retentionContract(() => fixture, anotherFixture);
    rivalsContract(
      () => archive,
      async () => (archive = (await fixture.reopen?.()) ?? archive),
    );

    test('streams tell how far they were observed; a clean end counts once all is there', async () => {
      const previous = {
        ...{ streamId: STREAM, lastDurableSequence: 4, endedCleanly: true },
        ...{ aliveUntilUs: T0 + 10, lostAtMost: 0 },
      };
      await archive.commit(
        transactionOf({
          streams: [streamOf(STREAM_2, { startedAtUs: T0 + 100, previous }), streamOf()],
          blocks: [blockOf(1, run(1, 3))],
          observed: [
            { streamId: STREAM, untilUs: T0 + 9 },
            { streamId: STREAM, untilUs: T0 + 7 },
            { streamId: STREAM, untilUs: T0 + 3, atLeast: true },
          ],
          ended: [{ streamId: STREAM, lastSequence: 4, atUs: T0 + 50 }],
        }),
      );
      const [first, second] = await archive.streams('S', 'KomA');
      expect(first).toMatchObject({ streamId: STREAM, observedUntilUs: T0 + 7, endedAtUs: T0 + 50 });
      expect(second).toEqual({
        ...streamOf(STREAM_2, { startedAtUs: T0 + 100, previous }),
        ...{ coverage: [], observedUntilUs: T0 + 100, endedAtUs: null, endedSequence: null },
      });
      await put(4, run(4, 4));
      expect(await archive.tagStreams({ site: 'S', tag: 'P1.a' })).toMatchObject([
        { streamId: STREAM, observedUntilUs: T0 + 50, knowsTag: true },
        { streamId: STREAM_2, knowsTag: false },
      ]);
      expect(await archive.tagStreams({ site: 'S', tag: 'nothing' })).toEqual([]);
      expect(await archive.streams('S', 'KomB')).toEqual([]);
    });

    test('a transaction that is refused changes nothing', async () => {
      const bad: Partial<ArchiveTransaction>[] = [
        { blocks: [blockOf(3, run(3, 3), { streamId: '9'.repeat(32) })] },
        { blocks: [blockOf(3, run(3, 3), { hash: '9'.repeat(32) })] },
        { blocks: [blockOf(3, [sampleOf(0, 0, { tagIndex: 99 })])] },
        { gaps: [gapOf(9, 9, { streamId: '9'.repeat(32) })] },
        { observed: [{ streamId: '9'.repeat(32), untilUs: 1 }] },
        { clockFixes: [{ streamId: '9'.repeat(32), firstSequence: 1, lastSequence: 2, offsetUs: 1 }] },
      ];
      for (const parts of bad) {
        const good = {
          streams: [streamOf(STREAM_2)],
          blocks: [blockOf(1, run(1, 2)), ...(parts.blocks ?? [])],
        };
        const commit = archive.commit(transactionOf({ ...parts, ...good }));
        await expect(commit).rejects.toMatchObject({ code: /KOM_(PROTOCOL_STATE|BLOCK_CORRUPT)/ });
        expect(await archive.coverage(STREAM)).toEqual([]);
        expect(await archive.streams('S', 'KomA')).toHaveLength(1);
        expect((await archive.stat()).samples).toBe(0);
      }
      await put(1, run(1, 2));
      expect(await sequences()).toEqual([1, 2]);
    });

    test('nothing works after closing', async () => {
      await archive.close();
      await expect(put(1, run(1, 1))).rejects.toEqual(UNAVAILABLE);
      await expect(archive.coverage(STREAM)).rejects.toEqual(UNAVAILABLE);
      await expect(archive.samples(allOf('P1.a'))).rejects.toEqual(UNAVAILABLE);
    });

    test('everything is there after a restart', async (context) => {
      if (fixture.reopen === undefined) return context.skip('this archive does not outlive its process');
      await put(1, [...run(1, 3), { station: null, tags: [], fromUs: 0, toUs: 9, reason: 'overload' }]);
      await archive.commit(
        transactionOf({
          gaps: [gapOf(8, 9)],
          observed: [{ streamId: STREAM, untilUs: T0 + 9 }],
          ended: [{ streamId: STREAM, lastSequence: 9, atUs: T0 + 10 }],
          clockFixes: [{ streamId: STREAM, firstSequence: 3, lastSequence: 6, offsetUs: 100 }],
        }),
      );
      const tell = async (): Promise<unknown> => [
        await archive.samples(allOf('P1.a')),
        await archive.gaps(allOf('P1.a')),
        await archive.tagStreams({ site: 'S', tag: 'P1.a' }),
        await archive.tags(),
        await archive.dictionary(HASH),
        { ...(await archive.stat()), sizeBytes: 0 },
      ];
      const before = await tell();
      archive = await fixture.reopen();
      expect(await tell()).toEqual(before);
      await put(2, run(2, 7));
      expect((await archive.samples(allOf('P1.a')))[2]).toMatchObject({
        sourceTimeUs: T0 + 3100,
        rawTimeUs: T0 + 3000,
      });
      // Number 4 was a time gap and stays one.
      expect(await sequences()).toEqual([1, 2, 3, 5, 6, 7]);
    });
  });
}
