import { realWorld } from '../../src/cli/world.ts';
import { openPostgresArchive } from '../../src/kernel/archive/postgres/postgres-archive.ts';
import { archiveContract } from '../../src/world/archive.contract.ts';
import { silentLog } from '../../src/world/log.ts';
import type { PostgresServer } from './server.ts';

const { clock } = realWorld({ level: 'silent', name: 'test' });
let schemas = 0;

/** The contract of archives, each in a schema of its own of a server that is there once tests run. */
export function postgresArchiveContract(name: string, server: () => PostgresServer): void {
  archiveContract(name, async () => {
    const config = server().config({ schema: `contract_${++schemas}` });
    const open = (retentionMs: number | null) =>
      openPostgresArchive({ config: { ...config, retentionMs }, clock, log: silentLog });
    let archive = await open(null);
    const reopen = async (retentionMs: number | null = null) => {
      await archive.close();
      archive = await open(retentionMs);
      return archive;
    };
    return {
      archive,
      reopen,
      // Its server goes by its own clock too.
      retained: { nowUs: clock.wallUs(), reopen },
      dispose: () => archive.close(),
    };
  });
}
