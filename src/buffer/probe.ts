import { isKomError } from '../domain/errors.ts';
import type { Disk } from '../world/store.ts';

/** Directory of the trial database; one that a crash left behind is removed by the next trial. */
export const PROBE_NAME = 'probe';
/** More than a log page and a manifest, so that a file system with only its last blocks left says so. */
const PROBE_BYTES = 64 * 1024;

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
