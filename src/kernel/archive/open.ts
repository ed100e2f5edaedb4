import type { KernelConfig } from '../../config/model/kernel.ts';
import { invariant } from '../../domain/errors.ts';
import type { Archive } from '../../world/archive.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { SharedArchive } from '../../world/shared-archive.ts';

export interface OpenArchiveOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Only questions are asked. */
  readonly readOnly?: boolean;
}

/**
 * Opens the archive that a Kernel file names; loads the client of no other one.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE; KOM_STORE_LOCKED if another process has the embedded one
 */
export async function openArchive(
  config: KernelConfig['archive'],
  options: OpenArchiveOptions,
): Promise<Archive> {
  if (config.kind === 'embedded') {
    const { openDuckdbArchive } = await import('./duckdb-archive.ts');
    const { directory, memoryLimitBytes, retentionMs } = config;
    const { clock, log, readOnly } = options;
    const isKept = retentionMs === null || readOnly === true;
    const retention = isKept ? {} : { retention: { retentionMs, clock } };
    return await openDuckdbArchive({ directory, memoryLimitBytes, log, ...retention });
  }
  const { openPostgresArchive } = await import('./postgres/postgres-archive.ts');
  return await openPostgresArchive({ ...options, config });
}

/** The archive that several Kernels share; nothing is opened yet. */
export async function openSharedArchive(
  config: KernelConfig['archive'],
  options: Omit<OpenArchiveOptions, 'readOnly'>,
): Promise<SharedArchive> {
  invariant(config.kind === 'postgres', 'only a database is shared');
  const { PostgresSharedArchive } = await import('./postgres/shared.ts');
  return new PostgresSharedArchive({ ...options, config });
}
