import type { KernelConfig } from '../../config/model/kernel.ts';
import type { Archive } from '../../world/archive.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';

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
    return await openDuckdbArchive({ ...config, log: options.log });
  }
  const { openPostgresArchive } = await import('./postgres/postgres-archive.ts');
  return await openPostgresArchive({ ...options, config });
}
