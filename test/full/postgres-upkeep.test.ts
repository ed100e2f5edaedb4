import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realWorld } from '../../src/cli/world.ts';
import { openPostgresArchive } from '../../src/kernel/archive/postgres/postgres-archive.ts';
import {
  blockOf,
  DICTIONARY,
  HASH,
  STREAM,
  sampleOf,
  streamOf,
  transactionOf,
} from '../../src/world/archive.fixture.ts';
import type { Archive } from '../../src/world/archive.ts';
import type { Clock } from '../../src/world/clock.ts';
import type { Log } from '../../src/world/log.ts';
import { keptLog } from '../integration/support/log.ts';
import { sleep, until } from '../integration/support/until.ts';
import { NO_POSTGRES, PostgresServer } from '../postgres/server.ts';

if (NO_POSTGRES !== null) console.warn(`skipped: ${NO_POSTGRES}`);

const { clock } = realWorld({ level: 'silent', name: 'test' });
/** The pause before the database is made to look at its months is so many times as long. */
const paused = (times: number): Clock => ({
  monotonicMs: () => clock.monotonicMs(),
  wallUs: () => clock.wallUs(),
  sleep: (ms, signal) => clock.sleep(ms, signal),
  schedule: (name, ms, run) => clock.schedule(name, name.startsWith('upkeep') ? ms * times : ms, run),
  repeat: (name, ms, run) => clock.repeat(name, ms, run),
});
const MONTH = 'sample_rows_2026_11';
const PART = 40_000;
const isTrouble = ({ msg }: { readonly msg?: unknown }) => msg === 'the database does not look at its months';
/** A server counts what came to a table each second at most. */
const COUNTED_MS = 1100;

describe.skipIf(NO_POSTGRES !== null)('a month of an archive in PostgreSQL that was filled at once', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    // As it is in the minutes before autovacuum comes to it.
    server = await PostgresServer.start({ settings: { fsync: 'off', autovacuum: 'off' } });
    server.sql('CREATE ROLE owner LOGIN; CREATE ROLE writer LOGIN');
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const open = (schema: string, log: Log, pause = 0.1): Promise<Archive> => {
    const roles = { login: { user: 'writer', password: null }, owner: { user: 'owner', password: null } };
    return openPostgresArchive({
      config: { ...server.config({ schema }), ...roles },
      ...{ clock: paused(pause), log },
    });
  };
  const opened = async (schema: string, log: Log, pause?: number): Promise<Archive> => {
    server.sql(`DROP SCHEMA IF EXISTS ${schema} CASCADE; CREATE SCHEMA ${schema} AUTHORIZATION owner`);
    const archive = await open(schema, log, pause);
    await archive.putDictionary(HASH, new Uint8Array([1]), DICTIONARY);
    await archive.commit(transactionOf({ streams: [streamOf()] }));
    return archive;
  };
  const fill = async (archive: Archive, parts: number): Promise<void> => {
    for (let part = 0; part < parts; part++) {
      const [{ last } = { last: 0 }] = await archive.coverage(STREAM);
      const first = last + 1;
      const samples = Array.from({ length: PART }, (_, i) => sampleOf((first + i) * 1000, i));
      await archive.commit(transactionOf({ blocks: [blockOf(first, samples)] }));
      await sleep(COUNTED_MS);
    }
  };
  /** Of which tables of a schema the server has statistics. */
  const analysed = (schema: string): string[] =>
    server.sql(`SELECT DISTINCT tablename FROM pg_stats WHERE schemaname = '${schema}' ORDER BY 1`);
  /** Pages of a month that its index by stream and number tells apart. */
  const page = (schema: string): string =>
    server
      .sql(`SET search_path = ${schema}; EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)
        SELECT * FROM sample_rows WHERE stream = 1 AND sequence BETWEEN 1 AND 1000
          AND source_time BETWEEN '2026-11-01' AND '2026-12-01'`)
      .join('\n');

  test('is looked at by the owner for whoever writes, and read by its indexes', async () => {
    const { log, lines } = keptLog('kom-kernel');
    const archive = await opened('filled', log);
    server.sql(
      'CREATE TABLE filled.of_somebody AS SELECT 1 AS x; ALTER TABLE filled.of_somebody OWNER TO owner',
    );
    await fill(archive, 4);
    await until('statistics', () => analysed('filled').includes(MONTH));
    expect(analysed('filled')).toEqual([MONTH]);
    const plan = page('filled');
    expect(plan).toContain('Bitmap Index Scan');
    // All others of its rows are on pages that are not read.
    expect(Number(/Heap Blocks: lossy=(\d+)/.exec(plan)?.[1])).toBeLessThan(1000);
    expect(lines.filter(isTrouble)).toEqual([]);
    await archive.close();
  });

  test('also what came before a Kernel was started, once it commits anything', async () => {
    const { log } = keptLog('kom-kernel');
    const before = await opened('restarted', log, 1000);
    await fill(before, 3);
    await before.close();
    const archive = await open('restarted', log);
    await sleep(2 * COUNTED_MS);
    expect(analysed('restarted')).toEqual([]);
    await archive.commit(transactionOf({ observed: [{ streamId: STREAM, untilUs: 1 }] }));
    await until('statistics', () => analysed('restarted').includes(MONTH));
    await archive.close();
  });

  test('few rows are left to the server, and so is a month that somebody works on', async () => {
    const { log, lines } = keptLog('kom-kernel');
    const archive = await opened('busy', log);
    await fill(archive, 2);
    const look = () =>
      server.sql("SET lock_timeout = '20s'; SELECT busy.analyse_samples()", 'postgres', 'writer');
    expect(look()).toEqual(['0']);
    const somebody = new Client({ host: server.directory, port: server.port, user: 'postgres' });
    await somebody.connect();
    await somebody.query(`BEGIN; LOCK TABLE busy.${MONTH} IN SHARE UPDATE EXCLUSIVE MODE`);
    await fill(archive, 3);
    await sleep(COUNTED_MS);
    const fromMs = performance.now();
    expect(look()).toEqual(['0']);
    expect(performance.now() - fromMs, 'it does not wait').toBeLessThan(15_000);
    expect(analysed('busy')).toEqual([]);
    await somebody.end();
    expect(look()).toEqual(['1']);
    expect(analysed('busy')).toEqual([MONTH]);
    expect(look(), 'nothing came since').toEqual(['0']);
    expect(lines.filter(isTrouble)).toEqual([]);
    await archive.close();
  });

  test('a database that does not look fails no commit, and the log says so', async () => {
    const { log, lines } = keptLog('kom-kernel');
    const archive = await opened('refused', log);
    server.sql('REVOKE EXECUTE ON FUNCTION refused.analyse_samples() FROM writer');
    await fill(archive, 3);
    await until('a warning', () => lines.some(isTrouble));
    expect(lines.filter(isTrouble)).toEqual([
      expect.objectContaining({ level: 'warn', error: expect.stringContaining('permission denied') }),
    ]);
    expect((await archive.stat()).samples).toBe(3 * PART);
    await archive.close();
  });
});
