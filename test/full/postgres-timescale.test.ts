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
import { silentLog } from '../../src/world/log.ts';
import { postgresArchiveContract } from '../postgres/archive-contract.ts';
import { NO_POSTGRES, PostgresServer } from '../postgres/server.ts';
import { hypertables, installTimescaleStandIn } from '../postgres/timescale-stand-in.ts';

if (NO_POSTGRES !== null) console.warn(`skipped: ${NO_POSTGRES}`);

const { clock } = realWorld({ level: 'silent', name: 'test' });
const DAY_US = 86_400_000_000;

describe.skipIf(NO_POSTGRES !== null)('a PostgreSQL database that says that it has TimescaleDB', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start({ settings: { fsync: 'off' } });
    installTimescaleStandIn(server);
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  postgresArchiveContract('hypertable', () => server);

  test('samples are a hypertable of seven days, and a mere writer has old chunks dropped', async () => {
    server.sql(`CREATE ROLE owner LOGIN; CREATE ROLE writer LOGIN;
      GRANT CREATE ON DATABASE postgres TO owner; CREATE SCHEMA roles AUTHORIZATION owner;`);
    const config = {
      ...server.config({ schema: 'roles' }),
      login: { user: 'writer', password: null },
      owner: { user: 'owner', password: null },
    };
    let archive = await openPostgresArchive({ config, clock, log: silentLog });
    expect(hypertables(server)).toContain('roles.sample_rows|source_time|7 days');
    await archive.putDictionary(HASH, new Uint8Array([1]), DICTIONARY);
    const nowUs = clock.wallUs();
    const ages = [400, 300, 35, 0];
    const samples = ages.map((age) => sampleOf(nowUs - age * DAY_US - T0, age));
    const receivedAtUs = nowUs - 380 * DAY_US;
    await archive.commit(
      transactionOf({
        ...{ streams: [streamOf()], blocks: [blockOf(1, samples)], receivedAtUs },
        observed: [{ streamId: STREAM, untilUs: nowUs }],
      }),
    );
    await archive.close();
    const retentionMs = (60 * DAY_US) / 1000;
    archive = await openPostgresArchive({ config: { ...config, retentionMs }, clock, log: silentLog });
    const all = allOf('P1.a', { fromUs: 0, toUs: nowUs * 2 });
    expect((await archive.samples(all)).map(({ value }) => value)).toEqual([35, 0]);
    await archive.close();
  });
});
