import { isKomError, type KomError } from '../domain/errors.ts';
import { type Disk, isWithheld } from './store.ts';

/** Directory of the trial database; one that a crash left behind is removed by the next trial. */
export const PROBE_NAME = 'probe';
/** More than a log page and a manifest, so that a file system with only its last blocks left says so. */
const PROBE_BYTES = 64 * 1024;

/**
 * Whether a database that failed so may be damaged. Where the disk takes nothing, or the database is somebody
 * else's, it may be whole: it waits for a better time, or for an operator.
 */
export async function mayBeDamaged(error: KomError, disk: Disk, bytes: number): Promise<boolean> {
  return !isWithheld(error) && (await takesWrites(disk, bytes));
}

/**
 * Whether the disk takes a synced write now and has `bytes` left. Tells a database that is damaged from a
 * disk that is full, read-only or broken: on such a disk nothing opens, and repairing or setting aside what
 * is whole would lose it.
 */
export async function takesWrites(disk: Disk, bytes: number): Promise<boolean> {
  try {
    if ((await disk.freeBytes()) < bytes + PROBE_BYTES) return false;
    await disk.remove(PROBE_NAME);
    const store = await disk.open(PROBE_NAME);
    try {
      const value = new Uint8Array(PROBE_BYTES);
      await store.batch([{ type: 'put', key: Uint8Array.of(0), value }], { sync: true });
    } finally {
      await store.close();
    }
    await disk.remove(PROBE_NAME);
    return true;
  } catch (error) {
    if (!isKomError(error)) throw error;
    return false;
  }
}
