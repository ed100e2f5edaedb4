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
import type { Archive, ArchiveTransaction } from '../../src/world/archive.ts';
import { silentLog } from '../../src/world/log.ts';
import { keptLog } from '../integration/support/log.ts';
import { until } from '../integration/support/until.ts';
import { CommitCutter, type Cut } from '../postgres/cutter.ts';
import { NO_POSTGRES, PostgresServer } from '../postgres/server.ts';

if (NO_POSTGRES !== null) console.warn(`skipped: ${NO_POSTGRES}`);

const { clock } = realWorld({ level: 'silent', name: 'test' });
/** At ten a second: longer than a server takes to start. */
const REFUSALS_MAX = 600;
const UNAVAILABLE = { code: 'KOM_ARCHIVE_UNAVAILABLE' };

describe.skipIf(NO_POSTGRES !== null)('an archive in PostgreSQL', () => {
  let server: PostgresServer;
  let schemas = 0;
  let config: PostgresArchiveConfig;
  beforeAll(async () => {
    server = await PostgresServer.start({ settings: { synchronous_commit: 'off', wal_writer_delay: '10s' } });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());
  beforeEach(() => {
    config = server.config({ schema: `kom_${++schemas}` });
  });

  const open = async (more: Partial<PostgresArchiveConfig> = {}): Promise<Archive> => {
    const archive = await openPostgresArchive({ config: { ...config, ...more }, clock, log: silentLog });
    await archive.putDictionary(HASH, new Uint8Array([1]), DICTIONARY);
    return archive;
  };
  const samples = (first: number, count: number): ArchiveTransaction =>
    transactionOf({
      streams: [streamOf()],
      blocks: [
        blockOf(
          first,
          Array.from({ length: count }, (_, i) => sampleOf((first + i) * 1000, first + i)),
        ),
      ],
      observed: [{ streamId: STREAM, untilUs: T0 + first }],
    });
  const everything = async (archive: Archive): Promise<number[]> =>
    (await archive.samples(allOf('P1.a'))).map(({ sequence }) => sequence);
  const numbers = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1);
  /** As the Kernel does: the same transaction again until it is taken. */
  const persist = async (archive: Archive, transaction: ArchiveTransaction): Promise<number> => {
    for (let refused = 0; ; refused++) {
      expect(refused, 'refused again and again').toBeLessThan(REFUSALS_MAX);
      try {
        await archive.commit(transaction);
        return refused;
      } catch (error) {
        expect(error).toMatchObject(UNAVAILABLE);
        await clock.sleep(100);
      }
    }
  };

  test.each<Cut>(['before', 'after', 'freeze'])(
    'a connection cut %s its COMMIT: what became of it is found out, and nothing is in twice',
    async (cut) => {
      await using cutter = await CommitCutter.start(`${server.directory}/.s.PGSQL.${server.port}`);
      const hosts = [{ host: '127.0.0.1', port: cutter.port }];
      const archive = await open({ hosts, answerTimeoutMs: 1500 });
      await archive.commit(samples(1, 10));
      for (const [first, gap] of [
        [11, 100],
        [21, 200],
      ] as const) {
        const transaction = { ...samples(first, 10), gaps: [gapOf(gap, gap + 5)] };
        cutter.next(cut);
        const error = await archive.commit(transaction).catch((thrown: unknown) => thrown);
        expect(error).toMatchObject(UNAVAILABLE);
        const after = (await archive.coverage(STREAM))[0]?.last;
        expect(after, 'coverage tells').toBe(cut === 'after' ? first + 9 : first - 1);
        await archive.commit(transaction);
      }
      expect(cutter.made).toBe(2);
      expect(await everything(archive)).toEqual(numbers(30));
      expect((await archive.stat()).samples).toBe(30);
      expect(await archive.gaps(allOf('P1.a'))).toHaveLength(2);
      await archive.close();
    },
  );

  test.each([
    ['one role, which may end its own sessions', 'postgres'],
    ['two roles', 'other_kernel'],
  ])('two Kernels that write into one archive by mistake double nothing: %s', async (_, user) => {
    if (user !== 'postgres') server.sql(`CREATE ROLE ${user} LOGIN SUPERUSER`);
    const [one, other] = [await open(), await open({ login: { user, password: null } })];
    for (let first = 1; first < 200; first += 10) {
      const both = [persist(one, samples(first, 15)), persist(other, samples(first + 5, 15))];
      await Promise.all(both);
    }
    await Promise.all([one.close(), other.close()]);
    const again = await open();
    expect((await again.coverage(STREAM)).map(({ first, last }) => [first, last])).toEqual([[1, 210]]);
    expect(await everything(again)).toEqual(numbers(210));
    expect((await again.stat()).samples).toBe(210);
    await again.close();
  });

  test('a server that is killed: what was committed is there, whatever its default', async () => {
    const archive = await open();
    let last = 0;
    for (let round = 0; round < 3; round++) {
      await archive.commit(samples(last + 1, 100));
      last += 100;
      await server.kill('SIGKILL');
      const waiting = persist(archive, samples(last + 1, 50));
      await expect(archive.samples(allOf('P1.a'))).rejects.toMatchObject(UNAVAILABLE);
      await server.restart();
      expect(await waiting).toBeGreaterThan(0);
      last += 50;
      expect(await everything(archive)).toEqual(numbers(last));
    }
    await archive.close();
  });

  test('a server that takes no writes: questions are answered, and it goes on by itself', async () => {
    const archive = await open();
    await archive.commit(samples(1, 10));
    const readOnly = (value: string): void => {
      server.sql(`ALTER SYSTEM SET default_transaction_read_only = ${value}`);
      server.sql('SELECT pg_reload_conf()');
    };
    readOnly('on');
    await until('a refusal', () =>
      archive.raiseKernelEpoch(1).then(
        () => false,
        () => true,
      ),
    );
    await expect(archive.commit(samples(11, 10))).rejects.toMatchObject(UNAVAILABLE);
    expect(archive.lastError).toContain('takes no writes');
    expect(await everything(archive)).toEqual(numbers(10));
    expect(await archive.tags()).toHaveLength(3);
    readOnly('off');
    await persist(archive, samples(11, 10));
    expect(archive.lastError).toBeNull();
    expect(await everything(archive)).toEqual(numbers(20));
    await archive.close();
  });

  test('a refusal in the middle of a COPY leaves nothing, and the session goes on', async () => {
    const archive = await open();
    await archive.commit(samples(1, 10));
    const [pid] = server.sql(`SELECT writer_pid FROM ${config.schema}.archive_state`);
    server.sql(`ALTER TABLE ${config.schema}.sample_rows ADD CONSTRAINT few CHECK (sequence < 15)`);
    await expect(archive.commit(samples(11, 10))).rejects.toMatchObject(UNAVAILABLE);
    expect((await archive.coverage(STREAM))[0]?.last).toBe(10);
    server.sql(`ALTER TABLE ${config.schema}.sample_rows DROP CONSTRAINT few`);
    await archive.commit(samples(11, 10));
    expect(await everything(archive)).toEqual(numbers(20));
    expect(server.sql(`SELECT writer_pid FROM ${config.schema}.archive_state`)).toEqual([pid]);
    await archive.close();
  });

  test.each(['while it runs', 'and a restart'])(
    'a month that somebody dropped is made anew: %s',
    async (when) => {
      let archive = await open();
      await archive.commit(samples(1, 10));
      server.sql(`DROP TABLE ${config.schema}.sample_rows_2026_11`);
      if (when === 'and a restart') {
        await archive.close();
        archive = await open();
      }
      await persist(archive, samples(11, 10));
      expect(await everything(archive)).toEqual(numbers(20).slice(10));
      expect((await archive.coverage(STREAM))[0]).toMatchObject({ first: 1, last: 20, state: 'data' });
      await archive.close();
    },
  );

  test.each(['while it runs', 'and a restart'])(
    'a month that somebody detached stays as it is: %s',
    async (when) => {
      const rows = (table: string) => server.sql(`SELECT count(*) FROM ${config.schema}.${table}`);
      let archive = await open();
      await archive.commit(samples(1, 10));
      const detach = (month: string) =>
        server.sql(`SET search_path = ${config.schema}; ALTER TABLE sample_rows DETACH PARTITION ${month}`);
      detach('sample_rows_2026_11');
      if (when === 'and a restart') {
        await archive.close();
        archive = await open();
      }
      await persist(archive, samples(11, 10));
      detach('sample_rows_2026_11_2');
      await persist(archive, samples(21, 10));
      expect(await everything(archive)).toEqual(numbers(30).slice(20));
      expect([...rows('sample_rows_2026_11'), ...rows('sample_rows_2026_11_2')]).toEqual(['10', '10']);
      // As the manual says: its rows come back into the month that took its place.
      server.sql(
        `INSERT INTO ${config.schema}.sample_rows SELECT * FROM ${config.schema}.sample_rows_2026_11`,
      );
      expect(await everything(archive)).toEqual([...numbers(10), ...numbers(30).slice(20)]);
      await archive.close();
    },
  );

  test('partitions that somebody made take what is theirs, and the others are made', async () => {
    const archive = await open();
    server.sql(`SET search_path = ${config.schema};
      CREATE TABLE whole_winter PARTITION OF sample_rows FOR VALUES FROM ('2026-10-01Z') TO ('2027-03-01Z')`);
    await archive.commit(samples(1, 10));
    const late = transactionOf({ blocks: [blockOf(11, [sampleOf(86_400_000_000 * 120, 11)])] });
    await archive.commit(late);
    const partitions = () =>
      server.sql(`SELECT inhrelid::regclass FROM pg_inherits
        WHERE inhparent = '${config.schema}.sample_rows'::regclass ORDER BY 1`);
    expect(partitions()).toEqual(
      ['whole_winter', 'sample_rows_2027_03'].map((name) => `${config.schema}.${name}`),
    );
    server.sql(`SET search_path = ${config.schema};
      CREATE TABLE all_else PARTITION OF sample_rows DEFAULT`);
    await archive.commit(transactionOf({ blocks: [blockOf(12, [sampleOf(86_400_000_000 * 160, 12)])] }));
    expect(server.sql(`SELECT count(*) FROM ${config.schema}.all_else`)).toEqual(['1']);
    await archive.close();
  });

  test.each(['with nothing written meanwhile', 'while the Kernel writes'])(
    'an older backup is restored under a running Kernel, %s: what it lacks is missing, and comes again',
    async (when) => {
      const archive = await open();
      let told = 0;
      archive.whenRegressed?.(() => {
        told++;
      });
      await persist(archive, samples(1, 10));
      const backup = server.dump(config.schema);
      await persist(archive, samples(11, 10));
      server.sql(`DROP SCHEMA ${config.schema} CASCADE`);
      if (when === 'while the Kernel writes') {
        await expect(archive.commit(samples(21, 10))).rejects.toMatchObject(UNAVAILABLE);
      }
      server.sql(backup);
      await persist(archive, samples(21, 10));
      expect(told).toBe(1);
      const data = (first: number, last: number) => ({ first, last, state: 'data' });
      expect(await archive.coverage(STREAM)).toEqual([data(1, 10), data(21, 30)]);
      await persist(archive, samples(11, 10));
      expect(await everything(archive)).toEqual(numbers(30));
      await archive.close();
    },
  );

  test('older rows are put into the same tables under a running Kernel: it is noticed', async () => {
    const archive = await open();
    let told = 0;
    archive.whenRegressed?.(() => {
      told++;
    });
    await persist(archive, samples(1, 10));
    const tables = ['coverage', 'sample_rows', 'sequence_gaps'];
    const each = (sql: (table: string) => string): void => {
      server.sql(`BEGIN; SET search_path = ${config.schema}; ${tables.map(sql).join(';')}; COMMIT`);
    };
    each((table) => `CREATE TABLE saved_${table} AS SELECT * FROM ${table}`);
    await persist(archive, { ...samples(11, 10), gaps: [gapOf(50, 55)] });
    each((table) => `DELETE FROM ${table}; INSERT INTO ${table} SELECT * FROM saved_${table}`);
    await expect(archive.commit(samples(21, 10))).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringContaining('somebody has put other rows into them'),
    });
    expect(told).toBe(0);
    await persist(archive, samples(21, 10));
    expect(told).toBe(1);
    const data = (first: number, last: number) => ({ first, last, state: 'data' });
    expect(await archive.coverage(STREAM)).toEqual([data(1, 10), data(21, 30)]);
    await persist(archive, samples(11, 10));
    expect(await everything(archive)).toEqual(numbers(30));
    await archive.close();
  });

  test.each([
    ['dropped', 'DROP device_time CASCADE', 'device_time is not there'],
    ['of another name', 'RENAME device_time TO on_device', 'device_time is not there, and on_device of'],
    [
      'go, beside one of their own',
      'DROP value_text; ALTER TABLE sample_rows ADD note text',
      'ADD value_text text as its owner',
    ],
    ['of another type', 'ALTER quality TYPE integer', 'quality is integer in place of bigint'],
  ])(
    'a column of the samples that somebody made %s: it says what to run, and goes on behind that',
    async (_, change, what) => {
      const archive = await open();
      await archive.commit(samples(1, 10));
      server.sql(`SET search_path = ${config.schema}; DROP VIEW samples, samples_with_marked, latest_values;
      ALTER TABLE sample_rows ${change}`);
      await expect(archive.commit(samples(11, 10))).rejects.toMatchObject(UNAVAILABLE);
      // Behind the first refusal it looks what the matter is.
      await expect(archive.commit(samples(11, 10))).rejects.toThrow(what);
      const refused = open();
      await expect(refused).rejects.toMatchObject({ ...UNAVAILABLE, message: expect.stringContaining(what) });
      const statement = /run (ALTER TABLE .*) as its owner/.exec(archive.lastError ?? '')?.[1];
      server.sql(`SET search_path = ${config.schema}; ${statement}`);
      await persist(archive, samples(11, 10));
      expect(await everything(archive)).toEqual(numbers(20));
      await archive.close();
    },
  );

  test('a value column that was renamed is to be named back; one made anew tells nothing', async () => {
    const own = `SET search_path = ${config.schema};`;
    const table = `"${config.schema}".sample_rows`;
    let archive = await open();
    await archive.commit(samples(1, 2));
    const values = async () => (await archive.samples(allOf('P1.a'))).map(({ value }) => value);
    const [name = ''] = server.sql(`${own} SELECT CASE WHEN value_float IS NULL THEN 'value_int'
      ELSE 'value_float' END FROM sample_rows LIMIT 1`);
    const type = name === 'value_int' ? 'bigint' : 'double precision';
    server.sql(`${own} ALTER TABLE sample_rows RENAME ${name} TO value_f`);
    await archive.close();
    await expect(open()).rejects.toThrow(`run ALTER TABLE ${table} RENAME "value_f" TO ${name} as its owner`);
    server.sql(`${own} ALTER TABLE sample_rows ADD ${name} ${type}`);
    const { log, lines } = keptLog('kom-kernel');
    archive = await openPostgresArchive({ config, clock, log });
    expect(lines.map(({ msg }) => msg)).toContainEqual(expect.stringMatching(/they are made anew$/));
    await archive.commit(samples(3, 1));
    const damage = /somebody has changed it.*Values that are gone/;
    const path = `${server.directory}/${config.schema}.csv`;
    const all = { site: 'S', tags: [], fromUs: 0, toUs: T0 * 2, format: 'csv', path } as const;
    await expect(values()).rejects.toThrow(damage);
    await expect(archive.exportSamples(all)).rejects.toThrow(damage);
    const asked = { streamId: STREAM, first: 1, last: 9, limit: 9 };
    // Another Kernel gets what is before and behind them.
    const { runs, through } = await archive.entries(asked);
    expect(runs.map(({ firstSequence, entries }) => [firstSequence, entries.length])).toEqual([[3, 1]]);
    expect(through).toBe(9);
    expect(await archive.entries({ ...asked, last: 2 })).toMatchObject({ runs: [], through: 2 });
    const whole = { ...allOf('P1.a'), fromUs: 0 };
    const severities = async () => (await archive.qualityChanges(whole)).map(({ quality }) => quality >>> 31);
    expect(await severities()).toEqual([1, 0]);
    const shown = `${own} SELECT sequence, ${name}, severity FROM samples ORDER BY sequence`;
    expect(server.sql(shown)).toEqual(['1||bad', '2||bad', '3|3|good']);
    expect(server.sql(`${own} SELECT ${name}, severity FROM latest_values`)).toEqual(['3|good']);
    // One is put back, and the other one declared lost.
    server.sql(`${own} UPDATE sample_rows SET ${name} = value_f WHERE sequence = 1;
      UPDATE sample_rows SET flags = flags & ~7, quality = 2147483648 WHERE sequence = 2;
      ALTER TABLE sample_rows DROP value_f`);
    const [one, , three] = await values();
    expect([Number(one), Number(three)]).toEqual([1, 3]);
    expect((await values())[1]).toBeNull();
    expect((await archive.entries(asked)).runs).not.toEqual([]);
    expect(await archive.exportSamples(all)).toBe(3);
    await archive.close();
  });

  test('views that are not there are made anew by who owns them', async () => {
    await (await open()).close();
    const own = `SET search_path = ${config.schema};`;
    server.sql(`${own} DROP VIEW latest_values`);
    await (await open()).close();
    expect(server.sql(`${own} SELECT count(*) FROM latest_values`)).toEqual(['0']);
  });

  test('a Kernel starts before its database does', async () => {
    await server.kill('SIGINT');
    const { log, lines } = keptLog('kom-kernel');
    const archive = await openPostgresArchive({ config, clock, log });
    await expect(archive.kernelEpoch()).rejects.toMatchObject(UNAVAILABLE);
    await expect(archive.coverage(STREAM)).rejects.toMatchObject(UNAVAILABLE);
    expect(archive.lastError).toContain('.s.PGSQL');
    await server.restart();
    await archive.putDictionary(HASH, new Uint8Array([1]), DICTIONARY);
    await archive.commit(samples(1, 5));
    expect(await everything(archive)).toEqual(numbers(5));
    expect(archive.lastError).toBeNull();
    const said = lines.filter(({ msg }) => msg.startsWith('the archive '));
    expect(said.map(({ msg }) => msg.slice('the archive '.length))).toEqual([
      'takes nothing; agents wait and keep their backlog',
      'takes what comes again',
    ]);
    expect(said[0]).toMatchObject({ error: expect.not.stringContaining('does not take a transaction') });
    await archive.close();
  });
});
