import { isKomError } from '../domain/errors.ts';
import { mayBeDamaged } from './probe.ts';
import type { Disk, Store } from './store.ts';

/** Databases beside the ring in its directory; the ring leaves them alone. */
export const SIDE_STORES = ['poison', 'notes', 'replays'] as const;
export type SideStoreName = (typeof SIDE_STORES)[number];

/** Sync and small buffers: what is kept here is rare. */
const WRITE_BUFFER_BYTES = 256 * 1024;

/**
 * A small database beside the ring. It is open only while it is used, one job at a time, so that a ring at
 * work keeps to its three open databases.
 */
export class SideStore {
  readonly #disk: Disk;
  readonly #name: SideStoreName;
  #last: Promise<unknown> = Promise.resolve();

  constructor(disk: Disk, name: SideStoreName) {
    this.#disk = disk;
    this.#name = name;
  }

  /**
   * Runs a job on the database, made if it is not there. @throws KomError KOM_STORE_OPEN and what the job
   * throws
   */
  use<T>(job: (store: Store) => Promise<T>): Promise<T> {
    const turn = this.#last.then(async () => {
      const store = await this.#open();
      try {
        return await job(store);
      } finally {
        await store.close();
      }
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** As `use`, but `absent` where the database is not there: looking makes nothing. */
  async look<T>(absent: T, job: (store: Store) => Promise<T>): Promise<T> {
    if (!(await this.#disk.list()).includes(this.#name)) return absent;
    return await this.use(job);
  }

  /** What does not open is repaired where it is damaged: on a full disk a repair would lose what is whole. */
  async #open(): Promise<Store> {
    const [disk, name] = [this.#disk, this.#name];
    const options = { writeBufferBytes: WRITE_BUFFER_BYTES };
    try {
      return await disk.open(name, options);
    } catch (error) {
      if (!isKomError(error)) throw error;
      if (!(await mayBeDamaged(error, disk, await disk.usedBytes(name)))) throw error;
      await disk.repair(name);
      return await disk.open(name, options);
    }
  }
}
