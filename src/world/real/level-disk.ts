import { mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type BatchOperation, Level } from 'level';
import { describeError, type ErrorCode, invariant, KomError } from '../../domain/errors.ts';
import type { Disk, Store, StoreOptions, StoreRange, StoreRecord, StoreWrite } from '../store.ts';

type Database = Level<Uint8Array, Uint8Array>;

const WRITE_BUFFER_BYTES_DEFAULT = 256 * 1024;
const CACHE_BYTES_DEFAULT = 64 * 1024;
/** A table for a whole segment: fewer files, and nothing for LevelDB to merge. */
const TABLE_BYTES_MAX = 64 * 1024 * 1024;
/** How much one step of an iterator fetches. */
const READ_AHEAD_BYTES = 256 * 1024;
const READ_STEP_RECORDS = 256;

/**
 * Databases of LevelDB in directories below `root`, which is made if it is not there. A disk that does not
 * take it now may later: then it is made with the first database.
 * @throws KomError KOM_STORE_OPEN where no directory can ever be, because a file is in the way
 */
export async function openLevelDisk(root: string): Promise<Disk> {
  try {
    await mkdir(root, { recursive: true });
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOTDIR' || code === 'EEXIST') throw failure('KOM_STORE_OPEN', root, error);
  }
  return new LevelDisk(root);
}

class LevelDisk implements Disk {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async list(folder?: string): Promise<string[]> {
    try {
      const entries = await readdir(folder === undefined ? this.#root : this.#path(folder), {
        withFileTypes: true,
      });
      return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw failure('KOM_STORE_READ', folder ?? this.#root, error);
    }
  }

  async open(name: string, options: StoreOptions = {}): Promise<Store> {
    const path = this.#path(name);
    try {
      const firstMade = await mkdir(path, { recursive: true });
      const isNew = firstMade !== undefined;
      if (!isNew) await checkComplete(path);
      const database: Database = new Level(path, {
        keyEncoding: 'view',
        valueEncoding: 'view',
        compression: false,
        writeBufferSize: options.writeBufferBytes ?? WRITE_BUFFER_BYTES_DEFAULT,
        cacheSize: options.cacheBytes ?? CACHE_BYTES_DEFAULT,
        maxFileSize: TABLE_BYTES_MAX,
      });
      await database.open();
      // LevelDB syncs what is in its directory; that the directory itself is there is for us to sync.
      if (isNew) await syncUpwards(path, firstMade);
      return new LevelStore(name, database);
    } catch (error) {
      throw failure(isLocked(error) ? 'KOM_STORE_LOCKED' : 'KOM_STORE_OPEN', name, error);
    }
  }

  async repair(name: string): Promise<void> {
    const path = this.#path(name);
    try {
      // `level` is the class of `classic-level` on Node, but its types leave the static methods out.
      const repair: unknown = Reflect.get(Level, 'repair');
      invariant(typeof repair === 'function', 'level has a repair function on Node');
      await Reflect.apply(repair, Level, [path]);
      await rm(join(path, 'lost'), { recursive: true, force: true });
    } catch (error) {
      throw failure('KOM_STORE_OPEN', name, error);
    }
  }

  async remove(name: string): Promise<void> {
    const path = this.#path(name);
    try {
      await rm(path, { recursive: true, force: true });
      await syncDirectory(dirname(path));
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw failure('KOM_STORE_WRITE', name, error);
    }
  }

  async rename(from: string, to: string): Promise<void> {
    const target = this.#path(to);
    try {
      await mkdir(dirname(target), { recursive: true });
      await rename(this.#path(from), target);
      await syncDirectory(dirname(target));
      await syncDirectory(this.#root);
    } catch (error) {
      throw failure('KOM_STORE_WRITE', `${from} to ${to}`, error);
    }
  }

  async usedBytes(name: string): Promise<number> {
    return await usedBytes(this.#path(name));
  }

  async freeBytes(): Promise<number> {
    try {
      const { bavail, bsize } = await statfs(this.#root);
      return bavail * bsize;
    } catch (error) {
      throw failure('KOM_STORE_READ', this.#root, error);
    }
  }

  #path(name: string): string {
    const parts = name.split('/');
    const isInside = parts.length <= 2 && parts.every((part) => part !== '' && !part.startsWith('.'));
    invariant(isInside, `${name} names a database below the root`);
    return join(this.#root, ...parts);
  }
}

class LevelStore implements Store {
  readonly #name: string;
  readonly #database: Database;
  #isOpen = true;

  constructor(name: string, database: Database) {
    this.#name = name;
    this.#database = database;
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#checkOpen();
    try {
      return await this.#database.get(key);
    } catch (error) {
      throw failure('KOM_STORE_READ', this.#name, error);
    }
  }

  async batch(writes: readonly StoreWrite[], options: { readonly sync: boolean }): Promise<void> {
    this.#checkOpen();
    const operations = writes.map(
      (write): BatchOperation<Database, Uint8Array, Uint8Array> =>
        write.type === 'put'
          ? { type: 'put', key: write.key, value: write.value }
          : { type: 'del', key: write.key },
    );
    try {
      await this.#database.batch(operations, options);
    } catch (error) {
      throw failure('KOM_STORE_WRITE', this.#name, error);
    }
  }

  async read(range: StoreRange): Promise<StoreRecord[]> {
    this.#checkOpen();
    const { limit = Number.MAX_SAFE_INTEGER, limitBytes = Number.MAX_SAFE_INTEGER, ...bounds } = range;
    const records: StoreRecord[] = [];
    let bytes = 0;
    try {
      const iterator = this.#database.iterator({
        ...bounds,
        highWaterMarkBytes: Math.min(limitBytes, READ_AHEAD_BYTES),
      });
      try {
        while (records.length < limit && bytes < limitBytes) {
          const step = await iterator.nextv(Math.min(limit - records.length, READ_STEP_RECORDS));
          if (step.length === 0) break;
          for (const [key, value] of step) {
            if (bytes >= limitBytes) break;
            records.push({ key, value });
            bytes += value.length;
          }
        }
      } finally {
        await iterator.close();
      }
    } catch (error) {
      throw failure('KOM_STORE_READ', this.#name, error);
    }
    return records;
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      await this.#database.close();
    } catch (error) {
      throw failure('KOM_STORE_WRITE', this.#name, error);
    }
  }

  #checkOpen(): void {
    if (!this.#isOpen) throw new KomError('KOM_STORE_CLOSED', this.#name);
  }
}

/**
 * LevelDB takes a directory without CURRENT for a new one and deletes the tables in it; a repair
 * reads them instead.
 */
async function checkComplete(path: string): Promise<void> {
  const names = await readdir(path);
  const hasData = names.some((name) => /^MANIFEST-|\.(log|ldb|sst)$/.test(name));
  if (hasData && !names.includes('CURRENT')) throw new Error('the file CURRENT is missing');
}

function failure(code: ErrorCode, name: string, error: unknown): KomError {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const got = describeError(cause);
  if (code !== 'KOM_STORE_WRITE' && isDenied(cause)) {
    const hint = 'the directory and all that is in it have to belong to the user that runs this process';
    return new KomError('KOM_STORE_DENIED', name, { got, hint, cause: error });
  }
  return new KomError(code, name, { got, cause: error });
}

/** LevelDB tells the reason of the system in words. */
function isDenied(cause: unknown): boolean {
  const code = codeOf(cause);
  if (code === 'EACCES' || code === 'EPERM') return true;
  return cause instanceof Error && /: (Permission denied|Operation not permitted)$/.test(cause.message);
}

/** Level wraps the reason why a database does not open. */
function isLocked(error: unknown): boolean {
  return (
    error instanceof Error && (codeOf(error) === 'LEVEL_LOCKED' || codeOf(error.cause) === 'LEVEL_LOCKED')
  );
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** Sizes of all files; one that vanishes meanwhile (LevelDB removes files by itself) counts nothing. */
async function usedBytes(path: string): Promise<number> {
  let bytes = 0;
  try {
    for (const entry of await readdir(path, { withFileTypes: true })) {
      const child = join(path, entry.name);
      bytes += entry.isDirectory() ? await usedBytes(child) : await sizeOf(child);
    }
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw failure('KOM_STORE_READ', path, error);
  }
  return bytes;
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 0;
    throw error;
  }
}

/** Makes the entries of directories durable, from one that is there up to the topmost that was made. */
async function syncUpwards(path: string, topmost: string): Promise<void> {
  await syncDirectory(dirname(path));
  if (path !== topmost && path !== dirname(path)) await syncUpwards(dirname(path), topmost);
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
