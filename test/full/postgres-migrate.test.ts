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
  T0,
  transactionOf,
} from '../../src/world/archive.fixture.ts';
import type { Archive } from '../../src/world/archive.ts';
import { silentLog } from '../../src/world/log.ts';
import { keptLog } from '../integration/support/log.ts';
import { until } from '../integration/support/until.ts';
import { backToVersion1, backToVersion3 } from '../postgres/older-versions.ts';
import { NO_POSTGRES, PostgresServer } from '../postgres/server.ts';

if (NO_POSTGRES !== null) console.warn(`skipped: ${NO_POSTGRES}`);

const { clock } = realWorld({ level: 'silent', name: 'test' });
const DAY_US = 86_400_000_000;
const RETENTION_MS = (60 * DAY_US) / 1000;

describe.skipIf(NO_POSTGRES !== null)('tables of an older version', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start({ settings: { fsync: 'off' } });
    server.sql('CREATE ROLE owner LOGIN; CREATE ROLE writer LOGIN');
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  test.each([1, 2, 3])(
    'version %i: brought up by who writes, left alone by who only asks',
    async (version) => {
      const schema = `old_${version}`;
      const config = server.config({ schema });
      const open = (readOnly: boolean) => openPostgresArchive({ config, clock, log: silentLog, readOnly });
      const made = await open(false);
      await made.putDictionary(HASH, new Uint8Array(), DICTIONARY);
      await made.commit(transactionOf({ streams: [streamOf()], blocks: [blockOf(1, [sampleOf(0, 7)])] }));
      await made.close();
      server.sql(version < 2 ? backToVersion1(schema) : backToVersion3(schema));
      server.sql(`SET search_path = ${schema};
      CREATE OR REPLACE FUNCTION add_samples_month(moment timestamptz) RETURNS void LANGUAGE sql AS '';
      UPDATE archive_format SET version = ${version}`);
      if (version < 3) await expect(open(true)).rejects.toThrow(`the tables are of version ${version}`);
      else await (await open(true)).close();
      expect(server.sql(`SELECT version FROM ${schema}.archive_format`)).toEqual([String(version)]);
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
    },
  );

  /** Tables of `owner` that `writer` writes, with an old month that something came to now. */
  const filled = async (schema: string) => {
    server.sql(`DROP SCHEMA IF EXISTS ${schema} CASCADE; CREATE SCHEMA ${schema} AUTHORIZATION owner`);
    const own = { user: 'owner', password: null };
    const config = { ...server.config({ schema }), login: { user: 'writer', password: null } };
    const { log, lines } = keptLog('kom-kernel');
    const open = (by: 'owner' | 'writer', retentionMs: number | null = null) =>
      openPostgresArchive({
        config: { ...config, owner: by === 'owner' ? own : null, retentionMs },
        ...{ clock, log },
      });
    const archive = await open('owner');
    const nowUs = clock.wallUs();
    const at = (daysAgo: number) => nowUs - daysAgo * DAY_US;
    const of = (first: number, daysAgo: number[], receivedDaysAgo: number) => {
      const samples = daysAgo.map((days) => sampleOf(at(days) - T0, days));
      return transactionOf({ blocks: [blockOf(first, samples)], receivedAtUs: at(receivedDaysAgo) });
    };
    await archive.putDictionary(HASH, new Uint8Array(), DICTIONARY);
    await archive.commit({ ...of(1, [500, 400, 300], 200), streams: [streamOf()] });
    await archive.commit(of(4, [400, 35, 0], 0));
    await archive.commit(transactionOf({ observed: [{ streamId: STREAM, untilUs: nowUs }] }));
    await archive.close();
    server.sql(backToVersion3(schema));
    const valuesOf = async (of: Archive) => {
      const rows = await of.samples(allOf('P1.a', { fromUs: 0, toUs: nowUs * 2 }));
      return rows.map(({ value }) => value);
    };
    return { open, lines, valuesOf };
  };

  test('who may not bring up tables of version 3 works with them as they are, and says so', async () => {
    const { open, lines, valuesOf } = await filled('kept');
    const archive = await open('writer');
    await archive.commit(transactionOf({ blocks: [blockOf(7, [sampleOf(0, 7)])] }));
    expect(await valuesOf(archive)).toHaveLength(7);
    await archive.close();
    const said = lines.filter(({ level }) => level === 'warn').map(({ msg, hint }) => [msg, hint]);
    const what =
      /^writer may not bring up the tables of schema kept from version 3: until then retention goes/;
    const hint = 'name owner, who owns them, as owner in the Kernel file for one start';
    expect(said).toContainEqual([expect.stringMatching(what), hint]);
    const retained = await open('writer', RETENTION_MS);
    expect(await valuesOf(retained)).toEqual([35, 7, 0]);
    await retained.close();
    server.sql('UPDATE kept.archive_format SET version = 2');
    await expect(open('writer')).rejects.toThrow(
      /writer may not bring up .* kept from version 2; name owner/,
    );
  });

  test('months of older tables go once it is known what of them was received when', async () => {
    const { open, valuesOf } = await filled('brought');
    const archive = await open('owner', RETENTION_MS);
    expect(await valuesOf(archive)).toHaveLength(6);
    const indexed = () =>
      server.sql(`SELECT count(*) FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
        WHERE c.relname ~ '^sample_rows_[0-9].*received' AND c.relnamespace = 'brought'::regnamespace`);
    await until('indexes', () => indexed()[0] === '3');
    await archive.close();
    const again = await open('writer', RETENTION_MS);
    expect(await valuesOf(again)).toEqual([400, 400, 35, 0]);
    await again.close();
  });
});
