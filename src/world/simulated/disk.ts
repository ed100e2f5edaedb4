import { KomError } from '../../domain/errors.ts';
import type { Clock } from '../clock.ts';
import type { Disk, Store, StoreOptions, StoreRange, StoreRecord, StoreWrite } from '../store.ts';
import { hex, recordBytes, SimulatedDatabase } from './database.ts';
import type { SimulatedRandom } from './random.ts';

/**
 * A disk in memory that keeps LevelDB's crash contract and nothing more.
 *
 * What may go wrong here, each by a method or a field of `SimulatedDisk`:
 * - a synced write takes from `syncMs.min` to `syncMs.max` of virtual time;
 * - `cutPower`: every database keeps its synced batches and a random prefix of the others; what was open or
 *   under way fails with KOM_STORE_CLOSED, and a batch under way may be there or not, whole;
 * - `killProcess`: the same, but the operating system keeps every batch that was handed to it;
 * - `failing`: all writes (`write`) or all operations (`all`) fail, as on EIO or a read-only mount; a batch
 *   that failed may be there after the next open, whole;
 * - `failing: 'growth'`: the disk is full from that moment on, and has the room that removing frees. LevelDB
 *   writes a database anew when it opens it, so none opens, and a repair loses what it cannot write;
 * - `totalBytes`: the disk is full at that size;
 * - `flipBit`: one bit of a stored value changes;
 * - `forget`: one key vanishes, as when a repair drops it;
 * - `damage`: a database does not open until it is repaired, or not even then;
 * - `denied`: databases of another user;
 * - `lock`: another living process holds a database;
 * - `restore`: the whole disk becomes what it was when `image` was taken.
 * Renaming and removing are durable at once.
 */
export class SimulatedDisk implements Disk {
  readonly #clock: Clock;
  readonly #random: SimulatedRandom;
  readonly #databases = new Map<string, SimulatedDatabase>();
  #generation = 0;
  /** Since the disk is full. */
  #freedBytes = 0;
  syncMs: { min: number; max: number } = { min: 0, max: 0 };
  readonly denied = new Set<string>();
  failing: 'nothing' | 'growth' | 'write' | 'all' = 'nothing';
  totalBytes = Number.MAX_SAFE_INTEGER;
  /** Operations that changed something so far, to place a fault at each of them. */
  operations = 0;
  /** Called before each operation that changes something; may place a fault. */
  beforeOperation: (() => void) | undefined;
  /** Most databases that were open at one time. */
  openMost = 0;

  constructor(clock: Clock, random: SimulatedRandom) {
    this.#clock = clock;
    this.#random = random;
  }

  async list(folder?: string): Promise<string[]> {
    this.#checkRead();
    const names = new Set<string>();
    for (const name of this.#databases.keys()) {
      const [first, second] = name.split('/');
      const shown = folder === undefined ? first : first === folder ? second : undefined;
      if (shown !== undefined) names.add(shown);
    }
    return [...names].sort();
  }

  async open(name: string, _options?: StoreOptions): Promise<Store> {
    const generation = this.#generation;
    this.#changing('KOM_STORE_OPEN', name);
    this.#growing('KOM_STORE_OPEN', name, this.#databases.get(name)?.bytes ?? 0);
    if (generation !== this.#generation) throw new KomError('KOM_STORE_CLOSED', name);
    const existing = this.#databases.get(name);
    if (existing?.isLocked || existing?.isOpen) throw new KomError('KOM_STORE_LOCKED', name);
    if (this.denied.has(name)) throw new KomError('KOM_STORE_DENIED', name);
    if (existing !== undefined && existing.damage !== 'none') throw new KomError('KOM_STORE_OPEN', name);
    const database = existing ?? new SimulatedDatabase();
    this.#databases.set(name, database);
    database.recover(this.#random);
    database.isOpen = true;
    this.openMost = Math.max(
      this.openMost,
      [...this.#databases.values()].filter((each) => each.isOpen).length,
    );
    return new SimulatedStore({
      name,
      database,
      checkAlive: () => {
        if (generation !== this.#generation) throw new KomError('KOM_STORE_CLOSED', name);
      },
      checkRead: () => this.#checkRead(),
      checkWrite: (writes) => {
        const bytes = writes.reduce((sum, write) => sum + writeBytes(write), 0);
        try {
          this.#changing('KOM_STORE_WRITE', name, bytes);
          this.#growing('KOM_STORE_WRITE', name, bytes);
        } catch (error) {
          // What does not fit is certainly not there later; what an error met half-way may be.
          if (this.failing === 'write' || this.failing === 'all') database.fail(writes);
          throw error;
        }
      },
      sync: () => this.#sync(),
    });
  }

  async repair(name: string): Promise<void> {
    const database = this.#databases.get(name);
    this.#changing('KOM_STORE_OPEN', name);
    try {
      this.#growing('KOM_STORE_OPEN', name, database?.bytes ?? 0);
    } catch (error) {
      database?.clear();
      throw error;
    }
    if (database === undefined) return;
    if (database.isLocked || database.isOpen) throw new KomError('KOM_STORE_LOCKED', name);
    if (this.denied.has(name)) throw new KomError('KOM_STORE_DENIED', name);
    if (database.damage === 'beyond-repair') throw new KomError('KOM_STORE_OPEN', name);
    database.damage = 'none';
  }

  async remove(name: string): Promise<void> {
    this.#changing('KOM_STORE_WRITE', name);
    this.#freedBytes += this.#databases.get(name)?.bytes ?? 0;
    this.#databases.delete(name);
  }

  async rename(from: string, to: string): Promise<void> {
    this.#changing('KOM_STORE_WRITE', from);
    const database = this.#databases.get(from);
    if (database === undefined || this.#databases.has(to)) throw new KomError('KOM_STORE_WRITE', from);
    this.#databases.delete(from);
    this.#databases.set(to, database);
  }

  async usedBytes(name: string): Promise<number> {
    this.#checkRead();
    return this.#databases.get(name)?.bytes ?? 0;
  }

  async freeBytes(): Promise<number> {
    this.#checkRead();
    if (this.failing === 'growth') return this.#freedBytes;
    return Math.max(0, this.totalBytes - this.#usedBytes());
  }

  cutPower(): void {
    this.#generation += 1;
    for (const database of this.#databases.values()) {
      database.loseUnsynced(this.#random);
      database.isOpen = false;
    }
  }

  killProcess(): void {
    this.#generation += 1;
    for (const database of this.#databases.values()) database.isOpen = false;
  }

  flipBit(name: string, key: Uint8Array, bit: number): void {
    this.#existing(name).change(key, (value) => {
      const flipped = value.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      return flipped;
    });
  }

  forget(name: string, key: Uint8Array): void {
    this.#existing(name).change(key, () => undefined);
  }

  damage(name: string, how: 'repairable' | 'beyond-repair'): void {
    this.#existing(name).damage = how;
  }

  lock(name: string, isLocked: boolean): void {
    this.#existing(name).isLocked = isLocked;
  }

  /** Keys of a database, ascending, for placing faults. */
  keys(name: string): Uint8Array[] {
    return this.#existing(name)
      .keys()
      .map((key) => new Uint8Array(Buffer.from(key, 'hex')));
  }

  /** Names of all databases, with their folders. */
  get names(): readonly string[] {
    return [...this.#databases.keys()].sort();
  }

  /** What is stored, for a checker. */
  value(name: string, key: Uint8Array): Uint8Array | undefined {
    return this.#existing(name).get(hex(key));
  }

  /** Everything that is on the disk now, as a copy of it would have it. */
  image(): DiskImage {
    const records = (name: string): StoreWrite[] =>
      this.keys(name).map((key) => ({ type: 'put', key, value: this.value(name, key) ?? new Uint8Array() }));
    return new Map(this.names.map((name) => [name, records(name)]));
  }

  /** The disk is replaced by an older copy; whatever was open is gone. */
  restore(image: DiskImage): void {
    this.#generation += 1;
    this.#databases.clear();
    for (const [name, writes] of image) {
      const database = new SimulatedDatabase();
      if (writes.length > 0) database.write(writes);
      database.synced(database.unsynced);
      this.#databases.set(name, database);
    }
  }

  #existing(name: string): SimulatedDatabase {
    const database = this.#databases.get(name);
    if (database === undefined) throw new KomError('KOM_STORE_OPEN', name);
    return database;
  }

  #usedBytes(): number {
    return [...this.#databases.values()].reduce((bytes, database) => bytes + database.bytes, 0);
  }

  #checkRead(): void {
    if (this.failing === 'all') throw new KomError('KOM_STORE_READ', 'injected');
  }

  #changing(code: 'KOM_STORE_OPEN' | 'KOM_STORE_WRITE', name: string, bytes = 0): void {
    this.beforeOperation?.();
    this.operations += 1;
    if (this.failing !== 'growth') this.#freedBytes = 0;
    if (this.failing === 'write' || this.failing === 'all') {
      throw new KomError(code, name, { got: 'an injected error' });
    }
    if (bytes > 0 && this.#usedBytes() + bytes > this.totalBytes) {
      throw new KomError(code, name, { got: 'a full disk' });
    }
  }

  /** It takes these bytes, and a little more. */
  #growing(code: 'KOM_STORE_OPEN' | 'KOM_STORE_WRITE', name: string, bytes: number): void {
    if (this.failing !== 'growth') return;
    if (bytes >= this.#freedBytes) throw new KomError(code, name, { got: 'a full disk' });
    this.#freedBytes -= bytes;
  }

  async #sync(): Promise<void> {
    const { min, max } = this.syncMs;
    if (max > 0) await this.#clock.sleep(min + this.#random.fraction() * (max - min));
  }
}

/** A copy of a disk: what each database holds. */
export type DiskImage = ReadonlyMap<string, readonly StoreWrite[]>;

interface StoreSetup {
  readonly name: string;
  readonly database: SimulatedDatabase;
  readonly checkAlive: () => void;
  readonly checkRead: () => void;
  readonly checkWrite: (writes: readonly StoreWrite[]) => void;
  readonly sync: () => Promise<void>;
}

class SimulatedStore implements Store {
  readonly #setup: StoreSetup;
  #isOpen = true;
  #isBroken = false;
  #isBusy = false;

  constructor(setup: StoreSetup) {
    this.#setup = setup;
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#check();
    this.#setup.checkRead();
    return this.#setup.database.get(hex(key))?.slice();
  }

  async batch(writes: readonly StoreWrite[], options: { readonly sync: boolean }): Promise<void> {
    this.#check();
    // LevelDB refuses every write after a failed one until it is opened again.
    if (this.#isBroken)
      throw new KomError('KOM_STORE_WRITE', this.#setup.name, { got: 'an earlier failure' });
    if (this.#isBusy) throw new Error(`two operations are in flight on ${this.#setup.name}`);
    const { database } = this.#setup;
    const copies = writes.map(copyOf);
    try {
      this.#setup.checkWrite(copies);
      this.#check();
    } catch (error) {
      this.#isBroken = true;
      throw error;
    }
    database.write(copies);
    if (!options.sync) return;
    this.#isBusy = true;
    const covered = database.unsynced;
    await this.#setup.sync();
    this.#isBusy = false;
    this.#check();
    database.synced(covered);
  }

  async read(range: StoreRange): Promise<StoreRecord[]> {
    this.#check();
    this.#setup.checkRead();
    const { limit = Number.MAX_SAFE_INTEGER, limitBytes = Number.MAX_SAFE_INTEGER } = range;
    const keys = this.#setup.database.keys();
    const from = Math.max(
      range.gte === undefined ? 0 : indexOf(keys, hex(range.gte), false),
      range.gt === undefined ? 0 : indexOf(keys, hex(range.gt), true),
    );
    const to = Math.min(
      range.lte === undefined ? keys.length : indexOf(keys, hex(range.lte), true),
      range.lt === undefined ? keys.length : indexOf(keys, hex(range.lt), false),
    );
    const records: StoreRecord[] = [];
    let bytes = 0;
    for (let step = 0; step < to - from && records.length < limit && bytes < limitBytes; step += 1) {
      const key = keys[range.reverse ? to - 1 - step : from + step] ?? '';
      const value = this.#setup.database.get(key)?.slice() ?? new Uint8Array();
      records.push({ key: new Uint8Array(Buffer.from(key, 'hex')), value });
      bytes += value.length;
    }
    return records;
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      this.#setup.checkAlive();
    } catch {
      // The process is gone and another one may have the database open.
      return;
    }
    this.#setup.database.isOpen = false;
  }

  #check(): void {
    if (!this.#isOpen) throw new KomError('KOM_STORE_CLOSED', this.#setup.name);
    this.#setup.checkAlive();
  }
}

/** Index of the first key that is not below (or, with `behind`, is above) the given one. */
function indexOf(keys: readonly string[], key: string, behind: boolean): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = keys[middle] ?? '';
    if (other < key || (behind && other === key)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function copyOf(write: StoreWrite): StoreWrite {
  return write.type === 'put'
    ? { type: 'put', key: write.key.slice(), value: write.value.slice() }
    : { type: 'delete', key: write.key.slice() };
}

function writeBytes(write: StoreWrite): number {
  return write.type === 'put' ? recordBytes(write.value) : 0;
}
