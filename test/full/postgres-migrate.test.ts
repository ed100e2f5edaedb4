import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realWorld } from '../../src/cli/world.ts';
import { openPostgresArchive } from '../../src/kernel/archive/postgres/postgres-archive.ts';
import {
  allOf,
  blockOf,
  DICTIONARY,
  HASH,
  STREAM,
  sampleOf,
  streamOf,
  transactionOf,
} from '../../src/world/archive.fixture.ts';
import { silentLog } from '../../src/world/log.ts';
import { NO_POSTGRES, PostgresServer } from '../postgres/server.ts';
import { backToVersion1 } from '../postgres/version-1.ts';

if (NO_POSTGRES !== null) console.warn(`skipped: ${NO_POSTGRES}`);

const { clock } = realWorld({ level: 'silent', name: 'test' });

describe.skipIf(NO_POSTGRES !== null)('tables of an older version', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start({ settings: { fsync: 'off' } });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  test.each([1, 2])('version %i: brought up by who writes, left alone by who only asks', async (version) => {
    const schema = `old_${version}`;
    const config = server.config({ schema });
    const open = (readOnly: boolean) => openPostgresArchive({ config, clock, log: silentLog, readOnly });
    const made = await open(false);
    await made.putDictionary(HASH, new Uint8Array(), DICTIONARY);
    await made.commit(transactionOf({ streams: [streamOf()], blocks: [blockOf(1, [sampleOf(0, 7)])] }));
    await made.close();
    if (version < 2) server.sql(backToVersion1(schema));
    server.sql(`SET search_path = ${schema};
      CREATE OR REPLACE FUNCTION add_samples_month(moment timestamptz) RETURNS void LANGUAGE sql AS '';
      UPDATE archive_format SET version = ${version}`);
    await expect(open(true)).rejects.toThrow(`the tables are of version ${version}`);
    // Twice: what was brought up is not brought up again.
    for (const _ of [1, 2]) await (await open(false)).close();
    const archive = await open(false);
    const clockFixes = [
      {
        ...{ streamId: STREAM, firstSequence: 1, lastSequence: 1, offsetUs: 5 },
        by: { streamId: STREAM, sequence: 2, atUs: 0 },
      },
    ];
    await archive.commit(transactionOf({ clockFixes }));
    const yearUs = 366 * 86_400_000_000;
    await archive.commit(transactionOf({ blocks: [blockOf(3, [sampleOf(yearUs, 8)])] }));
    const [row] = await archive.samples(allOf('P1.a'));
    expect(row?.sourceTimeUs).toBe((row?.rawTimeUs ?? 0) + 5);
    const { runs } = await archive.entries({ streamId: STREAM, first: 1, last: 9, limit: 9 });
    expect(runs.map(({ entries }) => entries.length)).toEqual([1, 1]);
    await archive.close();
  });
});
