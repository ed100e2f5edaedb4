import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPostgresArchive } from '../../src/kernel/archive/postgres/postgres-archive.ts';
import {
  allOf,
  blockOf,
  DICTIONARY,
  HASH,
  sampleOf,
  streamOf,
  transactionOf,
} from '../../src/world/archive.fixture.ts';
import { silentLog } from '../../src/world/log.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { GREEN, Setup } from '../integration/support/setup.ts';
import { sleep, until } from '../integration/support/until.ts';
import { archiveCommands, manualCommands, manualSql } from '../postgres/manual.ts';
import { NO_POSTGRES, PostgresServer } from '../postgres/server.ts';

/** The commands of the manuals for backup and restore, as they stand there. */

if (NO_POSTGRES !== null) console.warn(`skipped: ${NO_POSTGRES}`);

const START_MAX_MS = 60_000;
let server: PostgresServer | undefined;
beforeAll(async () => {
  if (NO_POSTGRES !== null) return;
  server = await PostgresServer.start();
  server.sql(manualSql('roles'));
});
afterAll(() => server?.[Symbol.asyncDispose]());

/** An empty database of the manual's. */
function emptyDatabase(): PostgresServer {
  if (server === undefined) throw new Error('no server');
  server.sql('DROP DATABASE kom WITH (FORCE)');
  server.sql('CREATE DATABASE kom');
  server.sql(manualSql('schema'), 'kom');
  return server;
}

/** The agent has everything that it still holds in the archive again. */
async function caughtUp(setup: Setup): Promise<void> {
  await setup.untilStatus('the backlog to drain', ({ uplink, backlog }) => {
    return uplink.kernel !== null && backlog.state === 'online' && backlog.samples < 20;
  });
}

test.skipIf(NO_POSTGRES !== null).each(['with the Kernel stopped', 'under a running Kernel'])(
  'a dump of a running Kernel is restored, %s: what it lacks comes again',
  async (how) => {
    const at = emptyDatabase();
    const hosts = [`127.0.0.1:${at.port}`];
    const password = { env: 'KOM_TEST_WRITER' };
    const owner = { user: 'kom_owner', password: { env: 'KOM_TEST_OWNER' } };
    const postgres = { hosts, database: 'kom', schema: 'kom', user: 'kom_writer', password, owner };
    const secrets = { KOM_TEST_WRITER: 'change me 2', KOM_TEST_OWNER: 'change me 1' };
    const archive = { kind: 'postgres', directory: './archive', postgres };
    await using setup = await Setup.make({ archive, store: 'always' });
    await setup.startPlant();
    const kernel = await setup.spawnKernel(START_MAX_MS, secrets);
    await setup.spawnAgent();
    await setup.untilOnline();
    await sleep(2000);
    at.run(manualCommands('dump'), setup.directory);
    await sleep(2000);
    const isStopped = how === 'with the Kernel stopped';
    if (isStopped) await kernel.kill('SIGTERM');
    at.run(manualCommands('restore'), setup.directory);
    if (isStopped) await setup.spawnKernel(START_MAX_MS, secrets);
    else
      await kernel.untilLog(
        'the database has lost what was archived: agents send again what they still hold',
        30_000,
      );
    await caughtUp(setup);
    await sleep(1000);
    expect(await setup.prove()).toMatchObject(GREEN);
    at.sql('DROP SCHEMA kom_before CASCADE', 'kom');
  },
);

test.skipIf(NO_POSTGRES !== null)('one month comes back from a dump, with what came after it', async () => {
  const at = emptyDatabase();
  const config = at.config({ database: 'kom', owner: { user: 'kom_owner', password: null } });
  const archive = await openPostgresArchive({ config, clock: createClock(), log: silentLog });
  await archive.putDictionary(HASH, new Uint8Array([1]), DICTIONARY);
  const put = (first: number): Promise<void> => {
    const values = Array.from({ length: 10 }, (_, i) => sampleOf((first + i) * 1000, first + i));
    return archive.commit(transactionOf({ streams: [streamOf()], blocks: [blockOf(first, values)] }));
  };
  await put(1);
  at.run(manualCommands('dump'), at.directory);
  await put(11);
  at.sql('DELETE FROM kom.sample_rows WHERE sequence < 6', 'kom');
  at.run(manualCommands('restore month'), at.directory);
  await put(21);
  const rows = await archive.samples(allOf('P1.a'));
  expect(rows.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
  // Questions go by its indexes again.
  const indexes = `SELECT count(*) FROM pg_indexes
    WHERE schemaname = 'kom' AND tablename = 'sample_rows_2026_11'`;
  expect(at.sql(indexes, 'kom')).toEqual(['3']);
  await archive.close();
});

test('the embedded archive: stop, copy, start; and back', async () => {
  await using setup = await Setup.make({ store: 'always' });
  const backup = join(setup.directory, 'backup');
  const run = (commands: string): void => {
    const here = commands.replaceAll('/var/lib/kom-kernel', setup.directory).replaceAll('/backup', backup);
    execFileSync('sh', ['-ec', here.replaceAll(/^systemctl .*$/gm, '')]);
  };
  execFileSync('mkdir', [backup]);
  await setup.startPlant();
  let kernel = await setup.spawnKernel(START_MAX_MS);
  await setup.spawnAgent();
  await setup.untilOnline();
  await sleep(2000);
  expect((await kernel.kill('SIGTERM')).code).toBe(0);
  run(archiveCommands('backup'));
  kernel = await setup.spawnKernel(START_MAX_MS);
  await caughtUp(setup);
  const { samples } = await setup.queries.stat();
  await until('more', async () => (await setup.queries.stat()).samples > samples + 50);
  expect((await kernel.kill('SIGTERM')).code).toBe(0);
  run(archiveCommands('restore'));
  await setup.spawnKernel(START_MAX_MS);
  await caughtUp(setup);
  await sleep(1000);
  expect(await setup.prove()).toMatchObject(GREEN);
});
