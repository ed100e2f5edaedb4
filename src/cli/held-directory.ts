import { isKomError, KomError } from '../domain/errors.ts';
import type { Log } from '../world/log.ts';
import { openLevelDisk } from '../world/real/level-disk.ts';
import type { Disk, Store } from '../world/store.ts';

/** An empty database: the system releases it when its process ends, however it ends. */
const LOCK_NAME = 'lock';

/**
 * Holds a directory for this process until it is disposed of. What opens a disk in it may let it go while
 * the disk takes nothing, so that nobody else notices. A disk that does not take the lock either holds up
 * nothing.
 * @throws KomError KOM_ALREADY_RUNNING if a living process holds it
 */
export async function holdDirectory(directory: string, log: Log): Promise<AsyncDisposable> {
  const disk = await openLevelDisk(directory);
  const lock = await openLock(disk).catch((error: unknown) => {
    if (isKomError(error, 'KOM_STORE_LOCKED'))
      throw new KomError('KOM_ALREADY_RUNNING', directory, { cause: error });
    if (!isKomError(error)) throw error;
    log.warn({ directory, error: error.message }, 'the directory cannot be held against other processes');
    return null;
  });
  return {
    async [Symbol.asyncDispose]() {
      await lock?.close();
    },
  };
}

async function openLock(disk: Disk): Promise<Store> {
  try {
    return await disk.open(LOCK_NAME);
  } catch (error) {
    if (!isKomError(error, 'KOM_STORE_OPEN')) throw error;
    // Nothing is in it that could be lost: it may be half made, by a first start that was cut short.
    await disk.repair(LOCK_NAME);
    return await disk.open(LOCK_NAME);
  }
}
