import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realWorld } from '../../src/cli/world.ts';
import { openPostgresArchive } from '../../src/kernel/archive/postgres/postgres-archive.ts';
import { PostgresSharedArchive } from '../../src/kernel/archive/postgres/shared.ts';
import {
  blockOf,
  DICTIONARY,
  HASH,
  sampleOf,
  streamOf,
  transactionOf,
} from '../../src/world/archive.fixture.ts';
import type { Archive } from '../../src/world/archive.ts';
import { silentLog } from '../../src/world/log.ts';
import { sharedArchiveContract } from '../../src/world/shared-archive.contract.ts';
import { kom } from '../integration/support/kom.ts';
import { freePort, until } from '../integration/support/until.ts';
import { manualSql } from '../postgres/manual.ts';
import { backToVersion1 } from '../postgres/older-versions.ts';
import { NO_POSTGRES, PostgresServer } from '../postgres/server.ts';

if (NO_POSTGRES !== null) console.warn(`skipped: ${NO_POSTGRES}`);

const { clock } = realWorld({ level: 'silent', name: 'test' });

describe.skipIf(NO_POSTGRES !== null)('PostgreSQL', () => {
  let server: PostgresServer;
  let schemas = 0;
  beforeAll(async () => {
    server = await PostgresServer.start({ settings: { fsync: 'off' } });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const newSchema = (): string => `kom_${++schemas}`;
  const kernel = (schema: string): PostgresSharedArchive =>
    new PostgresSharedArchive({ config: server.config({ schema }), clock, log: silentLog });
  const rule = (shared: PostgresSharedArchive, epoch: number): Promise<Archive> =>
    shared.rule({ epoch, signal: new AbortController().signal });

  test('a session that could not be ended writes nothing in a lower epoch all the same', async () => {
    const schema = newSchema();
    const [one, two] = [kernel(schema), kernel(schema)];
    const a = await one.openSession('A');
    const archive = await rule(one, (await a.claim(0)) ?? 0);
    await archive.putDictionary(HASH, new Uint8Array([1]), DICTIONARY);
    await archive.commit(transactionOf({ streams: [streamOf()] }));
    // As if it belonged to a role whose sessions the next one may not end.
    server.sql(`UPDATE ${schema}.archive_state SET writer_pid = NULL`);
    await a.close();
    const b = await two.openSession('B');
    expect(await b.claim(0)).toBe(2);
    const put = archive.commit(transactionOf({ blocks: [blockOf(1, [sampleOf(1000, 1)])] }));
    await expect(put).rejects.toMatchObject({ code: 'KOM_KERNEL_STANDBY' });
    expect(server.sql(`SELECT count(*) FROM ${schema}.sample_rows`)).toEqual(['0']);
    await archive.close();
    await b.close();
  });

  test('the roles of the manual have the rights for it, and its statements tell who is hot', async () => {
    server.sql(manualSql('roles'));
    server.sql(manualSql('schema'), 'kom');
    const config = server.config({
      ...{ hosts: [{ host: '127.0.0.1', port: server.port }], database: 'kom' },
      login: { user: 'kom_writer', password: 'change me 2' },
      owner: { user: 'kom_owner', password: 'change me 1' },
    });
    const shared = () => new PostgresSharedArchive({ config, clock, log: silentLog });
    const [one, two] = [shared(), shared()];
    await one.prepare();
    const a = await one.openSession('A');
    const former = await rule(one, (await a.claim(0)) ?? 0);
    await two.prepare();
    const b = await two.openSession('B');
    await b.depose();
    await until('the lock', async () => (await b.claim(0)) !== null);
    const [hot, session] = server.sql(manualSql('lock'), 'kom');
    expect([hot, session]).toEqual(['B|2', expect.stringMatching(/^B\|127/)]);
    const present = await rule(two, 2);
    const term = { site: 'S', process: 'KomA', term: 7, holder: 2 };
    await present.raiseTerm(term);
    await expect(former.raiseTerm(term)).rejects.toMatchObject({ code: 'KOM_KERNEL_STANDBY' });
    for (const archive of [former, present]) await archive.close();
    await b.close();
  });

  test('a second Kernel that works as another role is not let in, and names both roles', async () => {
    const schema = newSchema();
    server.sql('CREATE ROLE other LOGIN');
    const as = (user: string) =>
      new PostgresSharedArchive({
        config: server.config({
          ...{ schema, login: { user, password: null } },
          owner: { user: 'postgres', password: null },
        }),
        ...{ clock, log: silentLog },
      });
    const [one, two] = [as('postgres'), as('other')];
    const refused = expect.objectContaining({
      code: 'KOM_ARCHIVE_UNAVAILABLE',
      message: expect.stringMatching(
        /works as the role postgres, this one as other.*the same archive.postgres.user/,
      ),
    });
    const a = await one.openSession('A');
    await expect(two.prepare()).rejects.toEqual(refused);
    expect(server.sql(`SELECT has_schema_privilege('other', '${schema}', 'USAGE')`)).toEqual(['f']);
    await a.close();
    // It was prepared while nobody was there, and finds somebody later.
    await two.prepare();
    const again = await one.openSession('A');
    await expect(two.openSession('B')).rejects.toEqual(refused);
    expect((await again.look()).kernels).toEqual([{ name: 'A', isPresent: true }]);
    await again.close();
    const b = await two.openSession('B');
    await expect(one.openSession('A')).rejects.toThrow('works as the role other, this one as postgres');
    await b.close();
    server.sql('DROP OWNED BY other; DROP ROLE other');
  });

  test('a wrong password of the role that writes: it does not start, and gives nobody a right', async () => {
    const schema = newSchema();
    server.sql(`CREATE ROLE secret LOGIN PASSWORD 'right'`);
    const directory = mkdtempSync(join(tmpdir(), 'kom-shared-'));
    const file = join(directory, 'kernel.json');
    const postgres = {
      ...{ hosts: [`127.0.0.1:${server.port}`], database: 'postgres', schema, user: 'secret' },
      ...{
        password: { env: 'KOM_TEST_PASSWORD' },
        owner: { user: 'secret', password: { env: 'KOM_TEST_RIGHT' } },
      },
    };
    const archive = { kind: 'postgres', directory: './archive', postgres };
    const redundancy = { name: 'KernelA', archive: 'shared' };
    const listen = `127.0.0.1:${await freePort()}`;
    writeFileSync(file, JSON.stringify({ listen, archive, redundancy, controlSocket: './kernel.sock' }));
    server.sql(`CREATE SCHEMA ${schema} AUTHORIZATION secret`);
    const env = { KOM_TEST_PASSWORD: 'wrong', KOM_TEST_RIGHT: 'right' };
    const { code, stderr } = await kom(['kernel', file], { env });
    expect(stderr).toContain('password authentication failed for user "secret"');
    expect(code).toBe(69);
    expect(server.sql(`SELECT count(*) FROM pg_tables WHERE schemaname = '${schema}'`)).toEqual(['0']);
    rmSync(directory, { recursive: true });
  });

  test('each schema has a lock of its own, and a Kernel that is alone does not write beside it', async () => {
    const schema = newSchema();
    const sessions = [await kernel(schema).openSession('A'), await kernel(newSchema()).openSession('A')];
    for (const session of sessions) expect(await session.claim(0)).toBe(1);
    const alone = { config: server.config({ schema }), clock, log: silentLog };
    await expect(openPostgresArchive(alone)).rejects.toThrow('several Kernels share the archive');
    for (const session of sessions) await session.close();
    await (await openPostgresArchive(alone)).close();
  });

  test('a session that says nothing is ended by the server within seconds', async () => {
    const schema = newSchema();
    const [a, b] = [await kernel(schema).openSession('A'), await kernel(schema).openSession('B')];
    await a.claim(0);
    const fromMs = performance.now();
    await until('the lock', async () => (await b.claim(0)) !== null, 10_000);
    expect(performance.now() - fromMs).toBeGreaterThan(4000);
    expect(performance.now() - fromMs).toBeLessThan(7000);
    expect(a.isAlive).toBe(false);
    await b.close();
  });

  test('tables of version 1 are brought up, with what is in them', async () => {
    const schema = newSchema();
    const options = { config: server.config({ schema }), clock, log: silentLog };
    const archive = await openPostgresArchive(options);
    await archive.raiseKernelEpoch(7);
    await archive.close();
    server.sql(backToVersion1(schema));
    const again = await openPostgresArchive(options);
    expect(await again.kernelEpoch()).toBe(7);
    await again.close();
    const shared = kernel(schema);
    await shared.prepare();
    const session = await shared.openSession('A');
    expect(await session.claim(0)).toBe(8);
    await session.close();
  });

  sharedArchiveContract('PostgreSQL', async () => {
    const schema = newSchema();
    return {
      shared: () => kernel(schema),
      vanish: async (name) => {
        server.sql(`SELECT pg_terminate_backend(pid) FROM ${schema}.kernels WHERE name = '${name}'`);
      },
      dispose: async () => {},
    };
  });
});
