import { afterAll, beforeAll, describe } from 'vitest';
import { realWorld } from '../../src/cli/world.ts';
import { openPostgresArchive } from '../../src/kernel/archive/postgres/postgres-archive.ts';
import { archiveContract } from '../../src/world/archive.contract.ts';
import { silentLog } from '../../src/world/log.ts';
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

  archiveContract('PostgreSQL', async () => {
    const options = { config: server.config({ schema: `kom_${++schemas}` }), clock, log: silentLog };
    let archive = await openPostgresArchive(options);
    return {
      archive,
      reopen: async () => {
        await archive.close();
        archive = await openPostgresArchive(options);
        return archive;
      },
      dispose: () => archive.close(),
    };
  });
});
