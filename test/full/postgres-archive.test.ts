import { afterAll, beforeAll, describe } from 'vitest';
import { postgresArchiveContract } from '../postgres/archive-contract.ts';
import { NO_POSTGRES, PostgresServer } from '../postgres/server.ts';

if (NO_POSTGRES !== null) console.warn(`skipped: ${NO_POSTGRES}`);

describe.skipIf(NO_POSTGRES !== null)('PostgreSQL', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.start({ settings: { fsync: 'off' } });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  postgresArchiveContract('PostgreSQL', () => server);
});
