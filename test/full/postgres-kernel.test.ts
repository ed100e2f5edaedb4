import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { KernelStatus } from '../../src/kernel/kernel.ts';
import { callControl } from '../../src/ops/control.ts';
import { Cable } from '../../src/sim/cable.ts';
import { kom } from '../integration/support/kom.ts';
import { GREEN, Setup } from '../integration/support/setup.ts';
import { sleep, until } from '../integration/support/until.ts';
import { NO_POSTGRES, own, PostgresServer } from '../postgres/server.ts';

if (NO_POSTGRES !== null) console.warn(`skipped: ${NO_POSTGRES}`);
const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn('the full disk is skipped: only root can mount');

/** So long the database is away, or takes nothing. */
const OUTAGE_MS = 2500;
const START_MAX_MS = 60_000;
const PASSWORD = 'from the environment';

async function archiveError(setup: Setup): Promise<string | null> {
  const path = setup.file('kernel.sock');
  for await (const item of callControl({ ...setup.world, path, method: 'status' })) {
    return (item as KernelStatus).archiveError;
  }
  return null;
}

/** Waits until what the agent held is in the archive. */
async function caughtUp(setup: Setup): Promise<void> {
  await setup.untilStatus('the backlog to drain', ({ uplink, backlog }) => {
    return uplink.kernel !== null && backlog.state === 'online' && backlog.samples < 20;
  });
  await until('the archive to be well', async () => (await archiveError(setup)) === null);
}

/** What the proof may find declared is the plant's: answers that were late on a busy machine. */
async function proved(setup: Setup): Promise<void> {
  expect(await setup.prove()).toMatchObject(GREEN);
  const lines = await setup.history('P1.volume', 0);
  const gaps = lines.flatMap((line) => (line.kind === 'segment' && line.state === 'gap' ? [line] : []));
  expect(gaps.filter(({ reason }) => reason !== 'station-down')).toEqual([]);
}

/** A real plant, agent and Kernel over a database; `fault` begins and ends in the middle. */
async function throughFault(
  server: PostgresServer,
  schema: string,
  fault: (setup: Setup, during: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const postgres = {
    ...{ hosts: [`${server.directory}:${server.port}`], database: 'postgres', user: 'postgres', schema },
    answerTimeout: '5s',
  };
  await using setup = await Setup.make({ archive: { kind: 'postgres', directory: './archive', postgres } });
  await setup.startPlant();
  const kernel = await setup.spawnKernel(START_MAX_MS);
  await setup.spawnAgent();
  await setup.untilOnline();
  await sleep(1500);
  const before = (await setup.status()).backlog.counters.deliveredSamples;
  await fault(setup, async () => {
    await until('the Kernel to say so', async () => (await archiveError(setup)) !== null, 30_000);
    await sleep(OUTAGE_MS);
    const { backlog } = await setup.status();
    // Neither acknowledged nor refused: what comes is held by the agent.
    expect(backlog.samples).toBeGreaterThan(20);
    expect(kernel.log.some(({ msg }) => msg.startsWith('the archive takes nothing'))).toBe(true);
  });
  await caughtUp(setup);
  expect((await setup.status()).backlog.counters.deliveredSamples).toBeGreaterThan(before + 50);
  await sleep(1000);
  await proved(setup);
}

describe.skipIf(NO_POSTGRES !== null)('a Kernel whose archive is a PostgreSQL database', () => {
  let server: PostgresServer;
  let schemas = 0;
  let schema = '';
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server?.[Symbol.asyncDispose]());
  beforeEach(() => {
    schema = `kom_${++schemas}`;
  });

  test('the server is killed three times: nothing is lost, doubled or undeclared', async () => {
    await throughFault(server, schema, async (_setup, during) => {
      for (let round = 0; round < 3; round++) {
        await server.kill('SIGKILL');
        if (round === 0) await during();
        else await sleep(700);
        await server.restart();
        await sleep(1500);
      }
    });
  });

  test('the database takes no writes for a while', async () => {
    await throughFault(server, schema, async (setup, during) => {
      server.sql('ALTER DATABASE postgres SET default_transaction_read_only = on');
      server.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kom-archive'",
      );
      await during();
      // What is there can be asked for meanwhile.
      expect((await setup.history('P1.volume', 0)).length).toBeGreaterThan(10);
      server.sql('SET default_transaction_read_only = off; ALTER DATABASE postgres RESET ALL');
    });
  });

  test('the Kernel starts while its database is away', async () => {
    const postgres = {
      hosts: [`${server.directory}:${server.port}`],
      database: 'postgres',
      user: 'postgres',
    };
    const archive = { kind: 'postgres', directory: './archive', postgres: { ...postgres, schema } };
    await using setup = await Setup.make({ archive });
    await setup.startPlant();
    await server.kill('SIGINT');
    try {
      await setup.spawnKernel(START_MAX_MS);
      expect(await archiveError(setup)).toContain('PGSQL');
      await setup.spawnAgent();
      await sleep(3000);
      expect((await setup.status()).backlog.samples).toBeGreaterThan(50);
    } finally {
      await server.restart();
    }
    await caughtUp(setup);
    await proved(setup);
  });

  test('the Kernel is killed while it writes, again and again', async () => {
    const postgres = {
      hosts: [`${server.directory}:${server.port}`],
      database: 'postgres',
      user: 'postgres',
    };
    const archive = { kind: 'postgres', directory: './archive', postgres: { ...postgres, schema } };
    await using setup = await Setup.make({ archive });
    await setup.startPlant();
    await setup.spawnAgent();
    for (let round = 0; round < 8; round++) {
      const kernel = await setup.spawnKernel(START_MAX_MS);
      await until('a session', async () => (await setup.status()).uplink.kernel !== null, START_MAX_MS);
      await sleep(90 * round);
      await kernel.kill('SIGKILL');
    }
    await setup.spawnKernel(START_MAX_MS);
    await caughtUp(setup);
    await proved(setup);
  });

  test('a slow way to the database, with a password: back-pressure, and everything comes', async () => {
    server.sql(`CREATE ROLE slow LOGIN PASSWORD '${PASSWORD}'; CREATE SCHEMA ${schema} AUTHORIZATION slow`);
    const address = { host: '127.0.0.1', port: server.port };
    const world = (await import('../../src/cli/world.ts')).realWorld({ level: 'silent', name: 'test' });
    const cable = await Cable.lay({ ...world, target: () => address });
    const postgres = {
      ...{ hosts: [`127.0.0.1:${cable.address.port}`], database: 'postgres', user: 'slow', schema },
      ...{ password: { env: 'KOM_TEST_PASSWORD' }, answerTimeout: '2s' },
    };
    await using setup = await Setup.make({ archive: { kind: 'postgres', directory: './archive', postgres } });
    try {
      await setup.startPlant();
      await setup.spawnKernel(START_MAX_MS, { KOM_TEST_PASSWORD: PASSWORD });
      await setup.spawnAgent();
      await setup.untilOnline();
      cable.heal(6000);
      await sleep(12_000);
      expect((await setup.status()).backlog.samples).toBeGreaterThan(200);
      cable.heal();
      await caughtUp(setup);
      await proved(setup);
    } finally {
      await cable.close();
    }
  });

  test('every question of the command line, of a running Kernel and without one', async () => {
    const postgres = {
      hosts: [`${server.directory}:${server.port}`],
      database: 'postgres',
      user: 'postgres',
    };
    const archive = { kind: 'postgres', directory: './archive', postgres: { ...postgres, schema } };
    await using setup = await Setup.make({ archive });
    await setup.startPlant();
    const kernel = await setup.spawnKernel(START_MAX_MS);
    const agent = await setup.spawnAgent();
    await setup.untilOnline();
    await sleep(2000);
    expect((await agent.kill('SIGTERM')).code).toBe(0);
    const until = new Date(setup.world.clock.wallUs() / 1000).toISOString();
    const interval = ['--from', new Date(Date.parse(until) - 10_000).toISOString(), '--to', until];
    const ask = async (name: string): Promise<string[]> => {
      const file = ['--kernel', setup.file('kernel.json')];
      const answers: string[] = [];
      for (const args of [
        ['tags'],
        ['query', '--tag', 'P1.flow', ...interval, '--json'],
        ['completeness', ...interval, '--json'],
        ['stat', '--json'],
        ['export', '--csv', setup.file(`${name}.csv`), ...interval, '--tag', 'P1.flow'],
        ['export', '--parquet', setup.file(`${name}.parquet`), ...interval, '--tag', 'P1.flow'],
      ]) {
        const done = await kom(['archive', ...args, ...file]);
        expect(done.code, done.stderr).toBe(0);
        answers.push(done.stdout.replaceAll(name, 'FILE').replace(/"sizeBytes":\d+|,"unresolved":\[\]/g, ''));
      }
      return answers;
    };
    const online = await ask('online');
    expect(online[0]?.split('\n')).toHaveLength(19);
    expect(online[1]?.split('\n').length).toBeGreaterThan(5);
    expect((await kernel.kill('SIGTERM')).code).toBe(0);
    expect(await ask('offline')).toEqual(online);
  });

  test.skipIf(!isRoot)('the disk of the database is full for a while', async () => {
    const disk = mkdtempSync(join(tmpdir(), 'kom-pg-disk-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=160m', 'tmpfs', disk]);
    try {
      own(disk);
      const settings = { max_wal_size: '32MB', min_wal_size: '32MB', wal_recycle: 'off' };
      await using full = await PostgresServer.start({ directory: disk, settings });
      await throughFault(full, schema, async (_setup, during) => {
        const ballast = join(disk, 'ballast');
        let filled = true;
        for (let piece = 0; filled; piece++) {
          try {
            writeFileSync(`${ballast}-${piece}`, new Uint8Array(piece < 200 ? 1_000_000 : 4096));
          } catch {
            filled = piece < 200;
            piece = Math.max(piece, 200);
          }
        }
        await during();
        execFileSync('sh', ['-c', `rm -f ${ballast}-*`]);
        // A server that could not write its log has stopped, and whoever looks after it starts it again.
        if (!full.isReady()) {
          await full.kill('SIGKILL');
          await full.restart();
        }
      });
    } finally {
      execFileSync('umount', ['-l', disk]);
      rmSync(disk, { recursive: true, force: true });
    }
  });
});
