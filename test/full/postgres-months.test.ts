import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { realWorld } from '../../src/cli/world.ts';
import type { PostgresArchiveConfig } from '../../src/config/model/kernel.ts';
import { openPostgresArchive } from '../../src/kernel/archive/postgres/postgres-archive.ts';
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
} from '../../src/world/archive.fixture.ts';
import { silentLog } from '../../src/world/log.ts';
import { NO_POSTGRES, PostgresServer } from '../postgres/server.ts';

if (NO_POSTGRES !== null) console.warn(`skipped: ${NO_POSTGRES}`);

const { clock } = realWorld({ level: 'silent', name: 'test' });
const DAY_US = 86_400_000_000;

describe.skipIf(NO_POSTGRES !== null)('months of an archive in PostgreSQL', () => {
  let server: PostgresServer;
  let schemas = 0;
  let config: PostgresArchiveConfig;
  beforeAll(async () => {
    server = await PostgresServer.start({ settings: { fsync: 'off' } });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());
  beforeEach(() => {
    config = server.config({ schema: `kom_${++schemas}` });
  });

  test('those that are wholly older than the retention are dropped, by the younger clock', async () => {
    const nowUs = clock.wallUs();
    const monthUs = 31 * DAY_US;
    const retentionMs = (2 * monthUs) / 1000;
    const bound = {
      monotonicMs: () => clock.monotonicMs(),
      sleep: (ms: number, signal?: AbortSignal) => clock.sleep(ms, signal),
      schedule: (name: string, ms: number, run: () => void) => clock.schedule(name, ms, run),
      repeat: (name: string, ms: number, run: () => void) => clock.repeat(name, ms, run),
    };
    const open = (ahead: number) => {
      const wallUs = (): number => clock.wallUs() + ahead;
      return openPostgresArchive({
        config: { ...config, retentionMs },
        clock: { ...bound, wallUs },
        log: silentLog,
      });
    };
    let archive = await openPostgresArchive({ config, clock, log: silentLog });
    await archive.putDictionary(HASH, new Uint8Array([1]), DICTIONARY);
    const ages = [5, 4, 1, 0];
    const at = (age: number): number => nowUs - age * monthUs;
    await archive.commit(
      transactionOf({
        streams: [streamOf()],
        blocks: [
          blockOf(
            1,
            ages.map((age) => sampleOf(at(age) - T0, age)),
          ),
        ],
        gaps: [gapOf(50, 50, { fromUs: at(5), toUs: at(5) }), gapOf(60, 60, { fromUs: at(0), toUs: at(0) })],
        ...{ receivedAtUs: at(5), observed: [{ streamId: STREAM, untilUs: nowUs }] },
      }),
    );
    await archive.close();
    const left = async () =>
      (await archive.samples(allOf('P1.a', { fromUs: 0, toUs: nowUs * 2 }))).map(({ value }) => value);
    archive = await open(-4 * monthUs);
    expect(await left(), 'the Kernel is behind').toEqual([5, 4, 1, 0]);
    await archive.close();
    archive = await open(1000 * monthUs);
    expect(await left(), 'the Kernel is ahead').toEqual([1, 0]);
    expect(await archive.gaps(allOf('P1.a', { toUs: nowUs * 2 }))).toHaveLength(1);
    const tables = server.sql(`SELECT count(*) FROM pg_inherits
      WHERE inhparent = '${config.schema}.sample_rows'::regclass`);
    expect(tables).toEqual(['2']);
    // What was dropped is not asked for again, and its month can be made anew.
    expect((await archive.coverage(streamOf().streamId))[0]).toMatchObject({
      first: 1,
      last: 4,
      state: 'data',
    });
    await archive.commit(transactionOf({ blocks: [blockOf(5, [sampleOf(at(5) - T0, 55)])] }));
    expect(await left()).toEqual([55, 1, 0]);
    await archive.close();
  });

  test('partitions that somebody made stay, whatever their names, and old months are dropped', async () => {
    const nowUs = clock.wallUs();
    let archive = await openPostgresArchive({ config, clock, log: silentLog });
    await archive.putDictionary(HASH, new Uint8Array([1]), DICTIONARY);
    const of = (at: number, age: number) => blockOf(at, [sampleOf(nowUs - age * DAY_US - T0, age)]);
    const receivedAtUs = nowUs - 100 * DAY_US;
    const observed = [{ streamId: STREAM, untilUs: nowUs }];
    await archive.commit(
      transactionOf({
        streams: [streamOf()],
        blocks: [of(1, 200), of(2, 40), of(3, 0)],
        receivedAtUs,
        observed,
      }),
    );
    server.sql(`SET search_path = ${config.schema};
      CREATE TABLE before_all PARTITION OF sample_rows FOR VALUES FROM ('1970-01-01Z') TO ('2000-01-01Z');
      CREATE TABLE sample_rows_2000_99 PARTITION OF sample_rows
        FOR VALUES FROM ('2000-01-01Z') TO ('2001-01-01Z');
      CREATE TABLE sample_rows_2001 PARTITION OF sample_rows
        FOR VALUES FROM ('2001-01-01Z') TO ('2002-01-01Z');
      CREATE TABLE sample_rows_default PARTITION OF sample_rows DEFAULT`);
    await archive.close();
    const retentionMs = (60 * DAY_US) / 1000;
    archive = await openPostgresArchive({ config: { ...config, retentionMs }, clock, log: silentLog });
    const left = await archive.samples(allOf('P1.a', { fromUs: 0, toUs: nowUs * 2 }));
    expect(left.map(({ value }) => value)).toEqual([40, 0]);
    const partitions = server.sql(`SET search_path = ${config.schema};
      SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'sample_rows'::regclass ORDER BY 1`);
    const months = [nowUs - 40 * DAY_US, nowUs].map(
      (timeUs) => `sample_rows_${new Date(timeUs / 1000).toISOString().slice(0, 7).replace('-', '_')}`,
    );
    expect(partitions.sort()).toEqual(
      [...['before_all', 'sample_rows_2000_99', 'sample_rows_2001', 'sample_rows_default'], ...months].sort(),
    );
    await archive.close();
  });
});
