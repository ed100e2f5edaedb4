import type { StoreWrite } from '../store.ts';
import type { SimulatedRandom } from './random.ts';

/** A write with its key as text, which is needed when it is written, and again when it is durable. */
type NamedWrite = StoreWrite & { readonly name: string };

/** What one database has, in the page cache (`#values`) and on the medium (`#values` without `#unsynced`). */
export class SimulatedDatabase {
  #values = new Map<string, Uint8Array>();
  #sorted: string[] | null = [];
  #durable = new Map<string, Uint8Array>();
  #unsynced: (readonly NamedWrite[])[] = [];
  #failed: readonly StoreWrite[] | null = null;
  bytes = 0;
  isOpen = false;
  isLocked = false;
  damage: 'none' | 'repairable' | 'beyond-repair' = 'none';

  get(key: string): Uint8Array | undefined {
    return this.#values.get(key);
  }

  keys(): readonly string[] {
    this.#sorted ??= [...this.#values.keys()].sort();
    return this.#sorted;
  }

  write(writes: readonly StoreWrite[]): void {
    const named = writes.map(withName);
    this.#apply(named);
    this.#unsynced.push(named);
  }

  /** A write that was refused half-way: it may turn up when the database is opened again. */
  fail(writes: readonly StoreWrite[]): void {
    this.#failed = writes;
  }

  /** How many batches are not on the medium: what a sync that starts now will cover. */
  get unsynced(): number {
    return this.#unsynced.length;
  }

  synced(batches: number): void {
    for (const writes of this.#unsynced.splice(0, batches)) applyTo(this.#durable, writes);
  }

  /** An open: LevelDB makes a synced table of what it finds in its log. */
  recover(random: SimulatedRandom): void {
    if (this.#failed !== null && random.chance(0.5)) this.write(this.#failed);
    this.#failed = null;
    this.synced(this.#unsynced.length);
  }

  loseUnsynced(random: SimulatedRandom): void {
    const kept = this.#unsynced.slice(0, random.below(this.#unsynced.length + 1));
    for (const writes of kept) applyTo(this.#durable, writes);
    this.#unsynced = [];
    this.#failed = null;
    this.#values = new Map(this.#durable);
    this.#sorted = null;
    this.bytes = [...this.#values.values()].reduce((bytes, value) => bytes + recordBytes(value), 0);
  }

  /** What is in it is lost; its files are still there. */
  clear(): void {
    this.#values = new Map();
    this.#durable = new Map();
    [this.#sorted, this.#unsynced, this.#failed] = [null, [], null];
  }

  change(key: Uint8Array, change: (value: Uint8Array) => Uint8Array | undefined): void {
    this.synced(this.#unsynced.length);
    const value = this.#values.get(hex(key));
    if (value === undefined) return;
    const changed = change(value);
    const write = withName(
      changed === undefined ? { type: 'delete', key } : { type: 'put', key, value: changed },
    );
    this.#apply([write]);
    applyTo(this.#durable, [write]);
  }

  #apply(writes: readonly NamedWrite[]): void {
    for (const write of writes) {
      const key = write.name;
      const before = this.#values.get(key);
      if (before !== undefined) this.bytes -= recordBytes(before);
      if (write.type === 'put') this.bytes += recordBytes(write.value);
      const last = this.#sorted?.at(-1);
      if (before === undefined && write.type === 'put' && (last === undefined || last < key)) {
        this.#sorted?.push(key);
      } else if ((before === undefined) !== (write.type === 'delete')) {
        this.#sorted = null;
      }
      applyTo(this.#values, [write]);
    }
  }
}

export function hex(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('hex');
}

function withName(write: StoreWrite): NamedWrite {
  return { ...write, name: hex(write.key) };
}

function applyTo(values: Map<string, Uint8Array>, writes: readonly NamedWrite[]): void {
  for (const write of writes) {
    if (write.type === 'put') values.set(write.name, write.value);
    else values.delete(write.name);
  }
}

export function recordBytes(value: Uint8Array): number {
  return value.length + 16;
}
