import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  allOf,
  blockOf,
  DICTIONARY,
  HASH,
  STREAM,
  sampleOf,
  T0,
  transactionOf,
} from '../../world/archive.fixture.ts';
import { silentLog } from '../../world/log.ts';
import { openDatabase } from './duckdb.ts';
import { openDuckdbArchive } from './duckdb-archive.ts';

/** The tables as version 1 made them. */
const VERSION_1 = `
CREATE TABLE IF NOT EXISTS archive_format (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tags (
  id INTEGER NOT NULL, site VARCHAR NOT NULL, name VARCHAR NOT NULL, process VARCHAR NOT NULL,
  station VARCHAR NOT NULL, class VARCHAR NOT NULL, type VARCHAR NOT NULL, unit VARCHAR NOT NULL,
  formerly VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS dictionaries (
  id INTEGER NOT NULL, hash VARCHAR NOT NULL, content VARCHAR NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS dictionary_tags (
  dictionary INTEGER NOT NULL, tag_index INTEGER NOT NULL, tag INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS streams (
  id INTEGER NOT NULL, stream_id VARCHAR NOT NULL, boot_id VARCHAR NOT NULL, started_us BIGINT NOT NULL,
  previous VARCHAR, site VARCHAR NOT NULL, process VARCHAR NOT NULL, instance INTEGER NOT NULL,
  observed_until_us BIGINT NOT NULL, ended_us BIGINT, ended_sequence BIGINT);
CREATE TABLE IF NOT EXISTS stream_dictionaries (stream INTEGER NOT NULL, dictionary INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS coverage (
  stream INTEGER NOT NULL, first_sequence BIGINT NOT NULL, last_sequence BIGINT NOT NULL,
  state VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS time_gaps (
  stream INTEGER NOT NULL, sequence BIGINT NOT NULL, received_us BIGINT NOT NULL, station VARCHAR,
  tags VARCHAR NOT NULL, from_us BIGINT NOT NULL, to_us BIGINT NOT NULL, reason VARCHAR NOT NULL,
  count BIGINT);
CREATE TABLE IF NOT EXISTS sequence_gaps (
  stream INTEGER NOT NULL, received_us BIGINT NOT NULL, first_sequence BIGINT NOT NULL,
  last_sequence BIGINT NOT NULL, reason VARCHAR NOT NULL, from_us BIGINT NOT NULL, to_us BIGINT NOT NULL,
  count_at_most BIGINT NOT NULL);
CREATE TABLE samples_2026_11 (
  tag INTEGER, source_us BIGINT, received_us BIGINT, device_us BIGINT, kind UTINYINT,
  value_int BIGINT, value_float DOUBLE, value_text VARCHAR, quality UINTEGER, cause UTINYINT,
  stream INTEGER, sequence BIGINT, marks UTINYINT);
INSERT INTO archive_format VALUES (1);
INSERT INTO tags VALUES (1, 'S', 'P1.a', 'KomA', 'P1', 'measurement', 'float64', '', '[]'),
  (2, 'S', 'P1.b', 'KomA', 'P1', 'measurement', 'int64', 'kWh', '[]'),
  (3, 'S', 'P2.c', 'KomA', 'P2', 'measurement', 'text', '', '[]');
INSERT INTO dictionaries VALUES (1, '${HASH}', '${JSON.stringify(DICTIONARY)}', 'x'::BLOB);
INSERT INTO dictionary_tags VALUES (1, 0, 1), (1, 1, 2), (1, 2, 3);
INSERT INTO streams VALUES
  (1, '${STREAM}', '${'e'.repeat(32)}', ${T0}, NULL, 'S', 'KomA', 1, ${T0}, NULL, NULL);
INSERT INTO stream_dictionaries VALUES (1, 1);
INSERT INTO coverage VALUES (1, 1, 3, 'data');
INSERT INTO samples_2026_11 VALUES
  (1, ${T0 + 1}, ${T0 + 9}, -9223372036854775808, 4, 0, 1.5, NULL, 0, 0, 1, 1, 0),
  (1, ${T0 + 2}, ${T0 + 9}, -9223372036854775808, 5, 0, 0, 'two', 0, 1, 1, 2, 0);
INSERT INTO time_gaps VALUES (1, 3, ${T0 + 9}, 'P1', '[]', ${T0 + 3}, ${T0 + 4}, 'station-down', NULL);
`;

test('an archive of version 1 is brought up when opened, and takes all that a new one does', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kom-archive-'));
  const options = { directory, memoryLimitBytes: 256e6, log: silentLog };
  try {
    const old = await openDatabase(options);
    await old.write(VERSION_1);
    old.close();
    // Twice: what was brought up is not brought up again.
    for (const _ of [1, 2]) await (await openDuckdbArchive(options)).close();
    const archive = await openDuckdbArchive(options);
    const clockFixes = [{ streamId: STREAM, firstSequence: 2, lastSequence: 4, offsetUs: 100 }];
    await archive.commit(
      transactionOf({
        blocks: [
          blockOf(
            1,
            [1, 2, 3, 4].map((at) => sampleOf(at, at)),
          ),
        ],
      }),
    );
    await archive.commit(transactionOf({ clockFixes }));
    const term = { site: 'Plant', process: 'KomA', term: 31, holder: 1 };
    await archive.raiseTerm(term);
    expect(await archive.terms()).toEqual([term]);
    const rows = await archive.samples(allOf('P1.a'));
    expect(rows.map((row) => [row.value, row.sourceTimeUs - T0, row.rawTimeUs - T0, row.term])).toEqual([
      [1.5, 1, 1, 0],
      ['two', 102, 2, 0],
      [4, 104, 4, 0],
    ]);
    expect(await archive.gaps(allOf('P1.a'))).toMatchObject([{ fromUs: T0 + 103, toUs: T0 + 104 }]);
    await archive.close();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('tables of a newer version are left alone', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kom-archive-'));
  const options = { directory, memoryLimitBytes: 256e6, log: silentLog };
  try {
    const newer = await openDatabase(options);
    await newer.write('CREATE TABLE archive_format (version INTEGER NOT NULL)');
    await newer.write('INSERT INTO archive_format VALUES (99)');
    newer.close();
    await expect(openDuckdbArchive(options)).rejects.toMatchObject({ code: 'KOM_ARCHIVE_UNAVAILABLE' });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
