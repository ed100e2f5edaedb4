import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { realWorld } from '../../src/cli/world.ts';
import type { PostgresArchiveConfig } from '../../src/config/model/kernel.ts';
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
import type { Archive, ArchiveTransaction } from '../../src/world/archive.ts';
import { silentLog } from '../../src/world/log.ts';
import { GREEN, Setup } from '../integration/support/setup.ts';
import { sleep, until } from '../integration/support/until.ts';
import { NO_POSTGRES, PostgresServer } from '../postgres/server.ts';

if (NO_POSTGRES !== null) console.warn(`skipped: ${NO_POSTGRES}`);

const { clock } = realWorld({ level: 'silent', name: 'test' });
const UNAVAILABLE = { code: 'KOM_ARCHIVE_UNAVAILABLE' };

describe.skipIf(NO_POSTGRES !== null)('a primary and its standby', () => {
  let primary: PostgresServer;
  let standby: PostgresServer;
  let config: PostgresArchiveConfig;

  beforeEach(async () => {
    primary = await PostgresServer.start();
    standby = await primary.startStandby();
    // The file names the standby first: it is asked, and passed over.
    const hosts = [standby, primary].map(({ directory: host, port }) => ({ host, port }));
    config = primary.config({ hosts, answerTimeoutMs: 2000 });
  });
  afterEach(async () => {
    await standby?.[Symbol.asyncDispose]();
    await primary?.[Symbol.asyncDispose]();
  });

  const confirmed = (names: string): void => {
    primary.sql(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`);
    primary.sql('SELECT pg_reload_conf()');
  };
  const open = async (): Promise<Archive> => {
    const archive = await openPostgresArchive({ config, clock, log: silentLog });
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
    });

  test('a commit that no standby confirms is not acknowledged, and is found out about', async () => {
    const archive = await open();
    confirmed('standby');
    await archive.commit(samples(1, 10));
    await standby.kill('SIGKILL');
    // The primary has it on its disk and waits for the standby; it gives up the wait with a warning only.
    const waiting = archive.commit(samples(11, 10)).catch((error: unknown) => error);
    const isWaiting = "pid IN (SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep')";
    await until('a session that waits', () => {
      const [count] = primary.sql(`SELECT count(*) FROM pg_stat_activity WHERE ${isWaiting}`);
      return Number(count) > 0;
    });
    primary.sql(`SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE ${isWaiting}`);
    expect(await waiting).toMatchObject(UNAVAILABLE);
    expect(primary.sql('SELECT count(*) FROM kom.sample_rows'), 'it is there all the same').toEqual(['20']);
    // Nor is it told as archived before a standby has it.
    await expect(archive.coverage(STREAM)).rejects.toMatchObject(UNAVAILABLE);
    await expect(archive.commit(samples(11, 10))).rejects.toMatchObject(UNAVAILABLE);
    await standby.restart();
    await until('the archive to take it', () =>
      archive.commit(samples(11, 10)).then(
        () => true,
        () => false,
      ),
    );
    expect(await archive.samples(allOf('P1.a'))).toHaveLength(20);
    expect((await archive.stat()).samples).toBe(20);
    await archive.close();
  });

  test('a failover to a standby that lags: what was lost is noticed, and comes again', async () => {
    const hosts = [primary, standby].map(({ directory, port }) => `${directory}:${port}`);
    const postgres = { hosts, database: 'postgres', user: 'postgres', answerTimeout: '3s' };
    const archive = { kind: 'postgres', directory: './archive', postgres };
    await using setup = await Setup.make({ archive, store: 'always' });
    await setup.startPlant();
    const kernel = await setup.spawnKernel(60_000);
    expect(kernel.log.map(({ msg }) => msg)).toContainEqual(expect.stringContaining('no standby'));
    await setup.spawnAgent();
    await setup.untilOnline();
    await sleep(1500);
    await standby.kill('SIGINT');
    const [before] = primary.sql('SELECT count(*) FROM kom.samples');
    await sleep(3000);
    const [acknowledged] = primary.sql('SELECT count(*) FROM kom.samples');
    expect(Number(acknowledged)).toBeGreaterThan(Number(before) + 50);
    await primary.kill('SIGKILL');
    await standby.restart();
    const [there] = standby.sql('SELECT count(*) FROM kom.samples');
    expect(Number(there), 'the standby has less').toBeLessThan(Number(acknowledged));
    standby.promote();
    await kernel.untilLog(
      'the database has lost what was archived: agents send again what they still hold',
      60_000,
    );
    await setup.untilStatus('the backlog to drain', ({ uplink, backlog }) => {
      return uplink.kernel !== null && backlog.state === 'online' && backlog.samples < 20;
    });
    await sleep(2000);
    // With this policy the ring still has all of it.
    expect(await setup.prove()).toMatchObject(GREEN);
    const lines = await setup.history('P1.volume', 0);
    const gaps = lines.flatMap((line) =>
      line.kind === 'segment' && line.state === 'gap' ? [line.reason] : [],
    );
    expect(gaps.filter((reason) => reason !== 'station-down')).toEqual([]);
  });

  test('a failover to a standby that confirms loses nothing that was acknowledged', async () => {
    confirmed('standby');
    const hosts = [standby, primary].map(({ directory, port }) => `${directory}:${port}`);
    const postgres = { hosts, database: 'postgres', user: 'postgres', answerTimeout: '3s' };
    await using setup = await Setup.make({ archive: { kind: 'postgres', directory: './archive', postgres } });
    await setup.startPlant();
    const kernel = await setup.spawnKernel(60_000);
    expect(kernel.log.filter(({ msg }) => msg.startsWith('no standby'))).toEqual([]);
    await setup.spawnAgent();
    await setup.untilOnline();
    await sleep(2000);
    await primary.kill('SIGKILL');
    await sleep(2000);
    standby.promote();
    await setup.untilStatus('the backlog to drain', ({ uplink, backlog }) => {
      return uplink.kernel !== null && backlog.state === 'online' && backlog.samples < 20;
    });
    await sleep(1000);
    expect(await setup.prove()).toMatchObject(GREEN);
    const lines = await setup.history('P1.volume', 0);
    const gaps = lines.flatMap((line) =>
      line.kind === 'segment' && line.state === 'gap' ? [line.reason] : [],
    );
    expect(gaps.filter((reason) => reason !== 'station-down')).toEqual([]);
    expect(standby.sql('SELECT count(*) > 100 FROM kom.samples')).toEqual(['t']);
  });
});
