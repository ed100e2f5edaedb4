import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { realWorld } from '../../src/cli/world.ts';
import type { PostgresArchiveConfig } from '../../src/config/model/kernel.ts';
import type { Dictionary } from '../../src/domain/dictionary.ts';
import { describeError } from '../../src/domain/errors.ts';
import { openDuckdbArchive } from '../../src/kernel/archive/duckdb-archive.ts';
import { openPostgresArchive } from '../../src/kernel/archive/postgres/postgres-archive.ts';
import {
  allOf,
  blockOf,
  DICTIONARY,
  gapOf,
  HASH,
  sampleOf,
  streamOf,
  T0,
  tagOf,
  transactionOf,
} from '../../src/world/archive.fixture.ts';
import type { Archive } from '../../src/world/archive.ts';
import { silentLog } from '../../src/world/log.ts';
import { keptLog } from '../integration/support/log.ts';
import { until } from '../integration/support/until.ts';
import { manualSql } from '../postgres/manual.ts';
import { NO_POSTGRES, PostgresServer } from '../postgres/server.ts';

if (NO_POSTGRES !== null) console.warn(`skipped: ${NO_POSTGRES}`);

const { clock } = realWorld({ level: 'silent', name: 'test' });
const DAY_US = 86_400_000_000;

describe.skipIf(NO_POSTGRES !== null)('a PostgreSQL database', () => {
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

  const fill = async (archive: Archive): Promise<void> => {
    await archive.putDictionary(HASH, new Uint8Array([1]), DICTIONARY);
    const values = [
      1.5,
      -0,
      Number.NaN,
      true,
      2n ** 63n - 1n,
      'a "text",\nof two lines',
      '',
      'NUL \u0000',
      null,
    ];
    await archive.commit(
      transactionOf({
        streams: [streamOf()],
        blocks: [
          blockOf(1, [
            ...values.map((value, i) => sampleOf(i * 1000, value, { tagIndex: i % 2 })),
            sampleOf(DAY_US * 20, 7, { quality: 0x80_00_00_00, deviceTimeUs: T0 }),
          ]),
        ],
        gaps: [gapOf(50, 60)],
      }),
    );
  };

  test('a password that was changed there and in its file is used without a restart', async () => {
    server.sql('DROP SCHEMA IF EXISTS changing CASCADE; DROP ROLE IF EXISTS changing');
    server.sql(`CREATE ROLE changing LOGIN PASSWORD 'one'; CREATE SCHEMA changing AUTHORIZATION changing`);
    const directory = mkdtempSync(join(tmpdir(), 'kom-password-'));
    const passwordFile = join(directory, 'secret');
    writeFileSync(passwordFile, 'one\n');
    const own = { ...config, hosts: [{ host: '127.0.0.1', port: server.port }], schema: 'changing' };
    const archive = await openPostgresArchive({
      config: { ...own, login: { user: 'changing', password: null, passwordFile } },
      ...{ clock, log: silentLog },
    });
    const commit = () => archive.commit(transactionOf({ streams: [streamOf()], gaps: [gapOf(50, 60)] }));
    await commit();
    server.sql(`ALTER ROLE changing PASSWORD 'two'`);
    server.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'changing'`);
    const refused = `password authentication failed for user "changing": the one in ${passwordFile}`;
    await until('the refusal', async () => {
      const said = await commit().then(() => '', describeError);
      return said.includes(refused);
    });
    writeFileSync(passwordFile, 'two\n');
    await until(
      'a connection',
      () =>
        commit().then(
          () => true,
          () => false,
        ),
      30_000,
    );
    await archive.close();
    const variable = { user: 'changing', password: 'one', passwordVariable: 'KOM_PW' };
    await expect(
      openPostgresArchive({ config: { ...own, login: variable }, clock, log: silentLog }),
    ).rejects.toThrow('that the environment variable KOM_PW had when this Kernel started; for another one');
    rmSync(directory, { recursive: true });
  });

  test('the roles of the manual have the rights that the archive needs, and no more', async () => {
    server.sql(manualSql('roles'));
    server.sql(manualSql('schema'), 'kom');
    const hosts = [{ host: '127.0.0.1', port: server.port }];
    const login = { user: 'kom_writer', password: 'change me 2' };
    const owner = { user: 'kom_owner', password: 'change me 1' };
    const manual = { ...config, hosts, database: 'kom', schema: 'kom', login };
    const open = (more: Partial<PostgresArchiveConfig> = {}) =>
      openPostgresArchive({ config: { ...manual, ...more }, clock, log: silentLog });
    // Who may only write rows cannot make the tables, and says so.
    await expect(open()).rejects.toMatchObject({
      code: 'KOM_ARCHIVE_UNAVAILABLE',
      message: expect.stringMatching(
        /kom_writer has no right USAGE in schema kom.*name the owner of the schema/,
      ),
    });
    // Nor can its owner make another schema: who may is told what to run.
    const second = open({ owner, schema: 'kom_b' });
    await expect(second).rejects.toMatchObject({
      code: 'KOM_ARCHIVE_UNAVAILABLE',
      message: expect.stringContaining('there is no schema kom_b, and kom_owner may not make it'),
      detail: { hint: expect.stringContaining('CREATE SCHEMA "kom_b" AUTHORIZATION "kom_owner"') },
    });
    server.sql(manualSql('second schema'), 'kom');
    await (await open({ owner, schema: 'kom_b' })).close();
    await (await open({ owner })).close();
    const archive = await open({ retentionMs: 86_400_000 });
    await fill(archive);
    await archive.commit(
      transactionOf({
        clockFixes: [
          { streamId: streamOf().streamId, firstSequence: 1, lastSequence: 3, offsetUs: DAY_US * 40 },
        ],
        blocks: [{ ...blockOf(4, [sampleOf(3000, false, { tagIndex: 1 })]), repair: true }],
      }),
    );
    await archive.raiseKernelEpoch(3);
    await archive.raiseTerm({ site: 'S', process: 'KomA', term: 5, holder: 1 });
    expect((await archive.stat()).samples).toBe(10);
    await archive.close();
    const asRole = (role: string, sql: string) => server.sql(sql, 'kom', role);
    for (const sql of [
      'DROP TABLE kom.sample_rows',
      'CREATE TABLE kom.mine (x integer)',
      'CREATE TABLE public.mine (x integer)',
      'ALTER TABLE kom.tags ADD COLUMN x integer',
      'TRUNCATE kom.sample_rows',
      'UPDATE kom.archive_format SET version = 9',
      'CREATE SCHEMA mine',
    ]) {
      expect(() => asRole('kom_writer', sql), sql).toThrow(/permission denied|must be owner/);
    }
    expect(() => asRole('kom_reader', 'SELECT * FROM kom.samples')).toThrow('permission denied');
    asRole('kom_owner', manualSql('reader'));
    expect(asRole('kom_reader', 'SELECT count(*) FROM kom.samples')).toEqual(['10']);
    expect(asRole('kom_reader', 'SELECT count(*) FROM kom.latest_values')).toEqual(['2']);
    for (const sql of [
      'SELECT * FROM kom.sample_rows',
      'DELETE FROM kom.samples',
      "SELECT kom.drop_samples_before('2100-01-01', '2100-01-01')",
      "SELECT kom.index_samples_before('2100-01-01')",
      'SELECT kom.analyse_samples()',
    ]) {
      expect(() => asRole('kom_reader', sql), sql).toThrow(/permission denied|cannot delete from view/);
    }
    // A slip of the file: nobody who reads is given rights to write by it.
    const reader = { user: 'kom_reader', password: 'change me 3' };
    await expect(open({ owner, login: reader })).rejects.toMatchObject({
      code: 'KOM_ARCHIVE_UNAVAILABLE',
      message: expect.stringMatching(/kom_reader is a role that reads.*name the role that writes as archive/),
    });
    expect(() => asRole('kom_reader', 'SELECT * FROM kom.sample_rows')).toThrow('permission denied');
    const { log, lines } = keptLog('kom-kernel');
    server.sql('CREATE ROLE kom_new LOGIN PASSWORD $$x$$; GRANT CONNECT ON DATABASE kom TO kom_new');
    for (const password of ['wrong', 'x', 'x']) {
      const config = { ...manual, owner, login: { user: 'kom_new', password } };
      const opened = openPostgresArchive({ config, clock, log }).then((each) => each.close());
      await (password === 'wrong' ? expect(opened).rejects.toThrow('authentication failed') : opened);
    }
    const given = lines.filter(({ msg }) => msg === 'this role may write to the archive from now on');
    expect(given).toEqual([expect.objectContaining({ level: 'warn', role: 'kom_new' })]);
    const wrong = open({ login: { ...login, password: 'wrong' } });
    await expect(wrong).rejects.toThrow('password authentication failed');
    const none = open({ login: { ...login, password: null } });
    await expect(none).rejects.toThrow('asks for a password of kom_writer and the Kernel file names none');
  });

  test('views have the columns and types that a person expects, and the newest of each tag', async () => {
    const archive = await openPostgresArchive({ config, clock, log: silentLog });
    await fill(archive);
    const columns = (view: string): string[] =>
      server.sql(`SELECT column_name || ' ' || data_type FROM information_schema.columns
        WHERE table_schema = '${config.schema}' AND table_name = '${view}' ORDER BY ordinal_position`);
    expect(columns('samples')).toEqual([
      ...['site text', 'process text', 'station text', 'tag text', 'source_time timestamp with time zone'],
      ...['value_bool boolean', 'value_int bigint', 'value_float double precision', 'value_text text'],
      ...['severity text', 'quality_code bigint', 'cause text', 'received_time timestamp with time zone'],
      ...['device_time timestamp with time zone', 'raw_time timestamp with time zone', 'stream text'],
      ...['sequence bigint', 'term bigint', 'marks integer'],
    ]);
    expect(columns('samples_with_marked')).toEqual(columns('samples'));
    expect(columns('latest_values')).toEqual(columns('samples'));
    const of = (view: string) =>
      server.sql(`SET timezone = 'UTC';
        SELECT tag, source_time, value_float, value_text, severity, device_time
        FROM ${config.schema}.${view} ORDER BY source_time, tag`);
    expect(of('latest_values')).toEqual([
      'P1.b|2026-11-22 12:00:00.007+00||NUL \ufffd|good|',
      'P1.a|2026-12-12 12:00:00+00|7||bad|2026-11-22 12:00:00+00',
    ]);
    expect(of('samples')).toContain('P1.b|2026-11-22 12:00:00.007+00||NUL \ufffd|good|');
    await archive.close();
  });

  test('who listens is told of a past range that was completed, once, also after a restart', async () => {
    const told: unknown[] = [];
    const listener = new Client({ host: server.directory, port: server.port, user: 'postgres' });
    listener.on('notification', ({ payload }) => void told.push(JSON.parse(payload ?? '')));
    await listener.connect();
    await listener.query(`LISTEN ${config.schema}_late`);
    let archive = await openPostgresArchive({ config, clock, log: silentLog });
    await archive.putDictionary(HASH, new Uint8Array([1]), DICTIONARY);
    const commit = (first: number, afterUs: number) =>
      archive.commit({
        ...transactionOf({ streams: [streamOf()], blocks: [blockOf(first, [sampleOf(first, 1)])] }),
        receivedAtUs: T0 + afterUs,
      });
    const nothing = (afterUs: number) => archive.commit({ ...transactionOf({}), receivedAtUs: T0 + afterUs });
    await commit(1, 3_600_000_000);
    await commit(2, 3_601_000_000);
    await archive.close();
    archive = await openPostgresArchive({ config, clock, log: silentLog });
    await nothing(3_630_000_000);
    await listener.query('SELECT 1');
    expect(told).toEqual([]);
    await commit(3, 3_700_000_000);
    await nothing(3_800_000_000);
    await nothing(3_900_000_000);
    await until('two notifications', () => told.length === 2);
    await listener.query('SELECT 1');
    const range = { site: 'S', process: 'KomA', station: 'P1' };
    expect(told).toEqual([
      { ...range, from: '2026-11-22T12:00:00.000001Z', to: '2026-11-22T12:00:00.000003Z' },
      { ...range, from: '2026-11-22T12:00:00.000003Z', to: '2026-11-22T12:00:00.000004Z' },
    ]);
    await listener.end();
    await archive.close();
  });

  test('exports are those of the embedded archive, but for how a number is written', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kom-pg-export-'));
    const archive = await openPostgresArchive({ config, clock, log: silentLog });
    const embedded = await openDuckdbArchive({ directory, memoryLimitBytes: 128e6, log: silentLog });
    for (const each of [archive, embedded]) await fill(each);
    const asked = { fromUs: 0, toUs: T0 * 2, tags: ['P1.a', 'P1.b'] };
    const csv = async (of: Archive, name: string) => {
      const path = join(directory, name);
      expect(await of.exportSamples({ ...asked, format: 'csv', path })).toBe(10);
      await expect(of.exportSamples({ ...asked, format: 'csv', path })).rejects.toThrow('there already');
      return readFileSync(path, 'utf8');
    };
    const parsed = (text: string) => text.replaceAll('"', '').replaceAll(/\.0(?=,)/g, '');
    // A text with a NUL is the one value that PostgreSQL cannot show.
    const expected = parsed(await csv(embedded, 'embedded.csv')).replace('\u0000', '\ufffd');
    expect(parsed(await csv(archive, 'postgres.csv')).replaceAll('NaN', 'nan')).toBe(expected);
    const path = join(directory, 'postgres.parquet');
    expect(await archive.exportSamples({ ...asked, format: 'parquet', path })).toBe(10);
    expect(readFileSync(path).subarray(0, 4).toString()).toBe('PAR1');
    const nowhere = { ...asked, format: 'csv', path: '/nowhere/at/all.csv' } as const;
    await expect(archive.exportSamples(nowhere)).rejects.toMatchObject({ code: 'KOM_USAGE' });
    await expect(archive.exportSamples({ ...asked, format: 'csv', path, tags: ['x'] })).rejects.toMatchObject(
      {
        code: 'KOM_USAGE',
      },
    );
    for (const each of [archive, embedded]) await each.close();
    rmSync(directory, { recursive: true });
  });

  test('a database that takes backslashes in texts for more is asked as any other', async () => {
    server.sql('ALTER ROLE postgres SET standard_conforming_strings = off');
    const directory = mkdtempSync(join(tmpdir(), 'kom-pg-export-'));
    const path = join(directory, 'all.csv');
    const dictionary: Dictionary = { ...DICTIONARY, tags: [tagOf('P1\\n'), tagOf('P1\\')] };
    const archive = await openPostgresArchive({ config, clock, log: silentLog });
    await archive.putDictionary(HASH, new Uint8Array([1]), dictionary);
    const block = blockOf(1, [sampleOf(0, 1), sampleOf(1, 2, { tagIndex: 1 })], { hash: HASH, dictionary });
    await archive.commit(transactionOf({ streams: [streamOf()], blocks: [block] }));
    const asked = { fromUs: 0, toUs: T0 * 2, tags: ['P1\\n', 'P1\\'], format: 'csv', path } as const;
    expect(await archive.exportSamples(asked)).toBe(2);
    await archive.close();
    server.sql('ALTER ROLE postgres RESET standard_conforming_strings');
    rmSync(directory, { recursive: true });
  });

  test('questions alone change nothing, and tables of a newer program are left alone', async () => {
    const readOnly = () => openPostgresArchive({ config, clock, log: silentLog, readOnly: true });
    await expect(readOnly()).rejects.toThrow('there are no tables');
    const archive = await openPostgresArchive({ config, clock, log: silentLog });
    await fill(archive);
    const beside = await readOnly();
    expect(await beside.samples(allOf('P1.a'))).toEqual(await archive.samples(allOf('P1.a')));
    expect(await beside.stat()).toMatchObject({ samples: 10, tags: 3, streams: 1, gaps: 1 });
    await beside.close();
    // Still the last that opened for writing.
    await archive.raiseKernelEpoch(1);
    await archive.close();
    server.sql(`UPDATE ${config.schema}.archive_format SET version = 99`);
    for (const open of [readOnly, () => openPostgresArchive({ config, clock, log: silentLog })]) {
      await expect(open()).rejects.toThrow('are of another version');
    }
  });

  test('names that PostgreSQL cannot hold spoil nothing, also after a restart', async () => {
    const named = (name: string, unit = '') => tagOf(name, { station: 'P\u0000', unit });
    const strange: Dictionary = {
      ...DICTIONARY,
      tags: [named('a\u0000b', 'm\u0000'), named('a\ufffdb'), named('lone \ud800')],
    };
    const hash = '7'.repeat(32);
    let archive = await openPostgresArchive({ config, clock, log: silentLog });
    await fill(archive);
    const put = async (first: number): Promise<void> => {
      await archive.putDictionary(hash, new Uint8Array([2]), strange);
      const gap = {
        station: 'P\u0000',
        tags: ['a\u0000b'],
        fromUs: T0,
        toUs: T0 + 5,
        reason: 'overload',
      } as const;
      const samples = [0, 1, 2].map((tagIndex) => sampleOf(tagIndex, `${tagIndex}`, { tagIndex }));
      const block = blockOf(first, [...samples, gap], { hash, dictionary: strange });
      await archive.commit(transactionOf({ blocks: [block] }));
    };
    await put(20);
    await archive.close();
    archive = await openPostgresArchive({ config, clock, log: silentLog });
    expect(await archive.dictionary(hash)).toEqual(strange);
    await put(30);
    const later: Dictionary = { ...DICTIONARY, tags: [tagOf('P9.new')] };
    await archive.putDictionary('8'.repeat(32), new Uint8Array([3]), later);
    await archive.close();
    archive = await openPostgresArchive({ config, clock, log: silentLog });
    // Nobody's row was taken by another one's.
    const names = ['P1.a', 'P1.b', 'P2.c', 'P9.new', 'a\ufffdb', 'lone \ufffd'];
    expect((await archive.tags()).map(({ name }) => name)).toEqual(names);
    expect(await archive.samples(allOf('P1.a'))).toHaveLength(6);
    expect((await archive.stat()).samples).toBe(16);
    await archive.close();
  });

  test('what the settings of a server are worth is said at the start', async () => {
    const { log, lines } = keptLog('kom-kernel');
    const hosts = [...config.hosts, { host: '/nowhere', port: 1 }];
    const archive = await openPostgresArchive({ config: { ...config, hosts }, clock, log });
    await archive.close();
    const said = lines.map(({ msg }) => msg);
    expect(said).toContainEqual(expect.stringContaining('fsync of the database is off'));
    expect(said).toContainEqual(expect.stringContaining('no standby of the database confirms a commit'));
  });
});
