import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { archiveContract } from '../../world/archive.contract.ts';
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
} from '../../world/archive.fixture.ts';
import { silentLog } from '../../world/log.ts';
import { SimulatedClock } from '../../world/simulated/clock.ts';
import { openDuckdbArchive } from './duckdb-archive.ts';

function temporary() {
  const directory = mkdtempSync(join(tmpdir(), 'kom-archive-'));
  const options = { directory, memoryLimitBytes: 256e6, log: silentLog };
  return { options, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
}

archiveContract('DuckDB', async () => {
  const place = temporary();
  const clock = new SimulatedClock(T0);
  let archive = await openDuckdbArchive(place.options);
  const reopen = async (retentionMs?: number) => {
    await archive.close();
    const retention = retentionMs === undefined ? {} : { retention: { retentionMs, clock } };
    archive = await openDuckdbArchive({ ...place.options, ...retention });
    return archive;
  };
  return {
    archive,
    reopen: () => reopen(),
    retained: { nowUs: T0, reopen },
    dispose: async () => {
      await archive.close();
      place[Symbol.dispose]();
    },
  };
});

test('a transaction that the database breaks off leaves nothing, and the archive heals', async () => {
  using place = temporary();
  const archive = await openDuckdbArchive(place.options);
  await archive.putDictionary(HASH, new Uint8Array(), DICTIONARY);
  const good = transactionOf({ streams: [streamOf()], blocks: [blockOf(1, [sampleOf(0, 1)])] });
  await expect(archive.commit({ ...good, receivedAtUs: Number.NaN })).rejects.toMatchObject({
    code: 'KOM_ARCHIVE_UNAVAILABLE',
  });
  // Waits for its turn behind the reads, which open the database again.
  expect(await archive.coverage(STREAM)).toEqual([]);
  expect(await archive.streams('S', 'KomA')).toEqual([]);
  await archive.commit(good);
  expect((await archive.samples(allOf('P1.a'))).map((row) => row.sequence)).toEqual([1]);
  await archive.close();
});

test('writes and reads at once do not disturb each other, and close waits for them', async () => {
  using place = temporary();
  const archive = await openDuckdbArchive(place.options);
  await archive.putDictionary(HASH, new Uint8Array(), DICTIONARY);
  await archive.commit(transactionOf({ streams: [streamOf()] }));
  const work = Array.from({ length: 20 }, async (_, i) => {
    await archive.commit(transactionOf({ blocks: [blockOf(1 + i * 10, many(i * 10, 25))] }));
    const rows = await archive.samples(allOf('P1.a'));
    expect(new Set(rows.map((row) => row.sequence)).size).toBe(rows.length);
  });
  await Promise.all(work);
  expect((await archive.stat()).samples).toBe(215);
  const reading = archive.samples(allOf('P1.a'));
  const writing = archive.commit(transactionOf({ blocks: [blockOf(216, many(0, 5))] }));
  await archive.close();
  // Whichever of the two came first.
  expect([215, 220]).toContain((await reading).length);
  await writing;
});

test('the log of changes is folded into the tables, and a start reads both', async () => {
  using place = temporary();
  let archive = await openDuckdbArchive(place.options);
  await archive.putDictionary(HASH, new Uint8Array(), DICTIONARY);
  await archive.commit(transactionOf({ streams: [streamOf()] }));
  for (let round = 0; round < 12; round++) {
    const gaps = Array.from({ length: 400 }, (_, i) =>
      gapOf(round * 1000 + i * 2 + 1, round * 1000 + i * 2 + 1),
    );
    const observed = [{ streamId: STREAM, untilUs: T0 + round }];
    await archive.commit(transactionOf({ gaps, observed }));
  }
  const before = [await archive.coverage(STREAM), await archive.streams('S', 'KomA')];
  expect(before[0]).toHaveLength(4800);
  for (let first = 1; first < 40; first += 20) {
    await archive.commit(transactionOf({ blocks: [blockOf(first, many(first, 20))] }));
    const told = [await archive.coverage(STREAM), await archive.streams('S', 'KomA')];
    await archive.close();
    archive = await openDuckdbArchive(place.options);
    expect([await archive.coverage(STREAM), await archive.streams('S', 'KomA')]).toEqual(told);
  }
  expect((await archive.streams('S', 'KomA'))[0]?.observedUntilUs).toBe(T0 + 11);
  await archive.close();
});

test('what was completed late is announced once, when nothing more of it comes', async () => {
  using place = temporary();
  const told: unknown[] = [];
  const log = { ...silentLog, info: (fields: object) => void told.push(fields) };
  const archive = await openDuckdbArchive({ ...place.options, log });
  await archive.putDictionary(HASH, new Uint8Array(), DICTIONARY);
  const commit = (first: number, afterUs: number) =>
    archive.commit({
      ...transactionOf({ streams: [streamOf()], blocks: [blockOf(first, many(first, 5))] }),
      receivedAtUs: T0 + afterUs,
    });
  await commit(1, 3_600_000_000);
  await commit(6, 3_601_000_000);
  expect(told).toEqual([]);
  await commit(11, 3_700_000_000);
  const range = { site: 'S', process: 'KomA', stations: ['P1'] };
  expect(told).toEqual([
    { ...range, from: '2026-11-22T12:00:00.000001Z', to: '2026-11-22T12:00:00.000011Z' },
  ]);
  await archive.close();
  expect(told).toHaveLength(2);
});

test('closing releases the file, and a directory that cannot be made is an operating error', async () => {
  using place = temporary();
  for (const _ of [1, 2, 3]) await (await openDuckdbArchive(place.options)).close();
  const file = join(place.options.directory, 'archive.duckdb');
  await expect(openDuckdbArchive({ ...place.options, directory: file })).rejects.toMatchObject({
    code: 'KOM_ARCHIVE_UNAVAILABLE',
  });
});

function many(from: number, count: number) {
  return Array.from({ length: count }, (_, i) => sampleOf(from + i, from + i));
}
