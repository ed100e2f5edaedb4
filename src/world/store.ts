import { isKomError } from '../domain/errors.ts';

/**
 * Durable ordered key-value databases in named directories of one place: what the ring is made of.
 *
 * Crash contract (that of LevelDB): after a power cut a database holds every batch up to its last synced
 * one and an unbroken prefix, possibly empty, of the batches after it. A batch is there whole or not at all.
 * What a database holds when it is opened is durable when `open` resolves.
 */
export interface Disk {
  /** Names of the directories that are there (in `folder`, if given), sorted. A name has at most one `/`. */
  list(folder?: string): Promise<string[]>;
  /**
   * Opens a database, making it if it is not there.
   * @throws KomError KOM_STORE_OPEN, KOM_STORE_LOCKED, KOM_STORE_DENIED
   */
  open(name: string, options?: StoreOptions): Promise<Store>;
  /** Opens what an ordinary open refuses, dropping what cannot be read. @throws KomError KOM_STORE_OPEN */
  repair(name: string): Promise<void>;
  /** Deletes a closed database; nothing happens if it is not there. */
  remove(name: string): Promise<void>;
  /** Renames a closed database, into a folder if the name says so; durable when it resolves. */
  rename(from: string, to: string): Promise<void>;
  /** Bytes that one database occupies on the disk; 0 if it is not there. */
  usedBytes(name: string): Promise<number>;
  /** Bytes that the file system has left for us. */
  freeBytes(): Promise<number>;
}

/** Sizes of a database's buffers; both default to small values fit for a 256 MB machine. */
export interface StoreOptions {
  readonly writeBufferBytes?: number;
  readonly cacheBytes?: number;
}

/** One write of a batch. */
export type StoreWrite =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'delete'; readonly key: Uint8Array };

/** Bounds on a read of keys in ascending byte order. */
export interface StoreRange {
  readonly gte?: Uint8Array;
  readonly gt?: Uint8Array;
  readonly lte?: Uint8Array;
  readonly lt?: Uint8Array;
  readonly reverse?: boolean;
  readonly limit?: number;
  /** Stop with the record that brings the values read to this many bytes. */
  readonly limitBytes?: number;
}

/** A record of a database. */
export interface StoreRecord {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** One open database. One process holds it at a time. */
export interface Store {
  /** `undefined` if the key is not there. @throws KomError KOM_STORE_READ, KOM_STORE_CLOSED */
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  /**
   * Writes all or nothing. With `sync` it is durable when it resolves.
   * After a failed write the database must be closed and opened again.
   * @throws KomError KOM_STORE_WRITE, KOM_STORE_CLOSED
   */
  batch(writes: readonly StoreWrite[], options: { readonly sync: boolean }): Promise<void>;
  /**
   * Records of a range up to its limits, seeking, never scanning from the front. @throws KomError
   * KOM_STORE_READ, KOM_STORE_CLOSED
   */
  read(range: StoreRange): Promise<StoreRecord[]>;
  /** Releases the database; further use fails with KOM_STORE_CLOSED. */
  close(): Promise<void>;
}

/** The store is not for this process: another one holds it, or the system denies it. It may be whole. */
export function isWithheld(error: unknown): boolean {
  return isKomError(error, 'KOM_STORE_LOCKED') || isKomError(error, 'KOM_STORE_DENIED');
}
