import { describeError, isKomError, KomError } from '../domain/errors.ts';
import type { LostByReason, SequenceGap } from '../domain/gap.ts';
import type { Log } from '../world/log.ts';
import { mayBeDamaged } from '../world/probe.ts';
import type { Disk, Store, StoreWrite } from '../world/store.ts';
import type { StreamRecord } from './chain.ts';
import { decodeMetaValue, encodeMetaValue } from './record.ts';
import type { SegmentFacts } from './segment.ts';
import type { SyncTimes } from './sync-times.ts';
import type { LedgerSpan, ToldGap } from './told-gaps.ts';

export const META_NAME = 'meta';
const FORMAT = 1;
const READ_BYTES = 1024 * 1024;
const WRITE_BUFFER_BYTES = 512 * 1024;

/** What the ring knows about itself, as of the last commit. */
export interface MetaState {
  /** By ordinal. */
  readonly streams: readonly StreamRecord[];
  /** By number. */
  readonly segments: readonly SegmentFacts[];
  /** By stream and sequence. */
  readonly gaps: readonly SequenceGap[];
  /** The last ones of the gaps that a Kernel knows of, by serial. */
  readonly told: readonly ToldGap[];
  readonly totals: Totals;
}

export interface Totals {
  readonly lost: LostByReason;
  /** Not given before the first start that writes it. */
  readonly ledger?: LedgerSpan;
  /** Run time of the store, where data has a greatest age: while it ran and knew the time, milliseconds. */
  readonly runMs?: number;
  /** At least these are free; segments that are listed may have used more. */
  readonly nextNumber: number;
  readonly nextPosition: number;
}

const NO_TOTALS: Totals = { lost: {}, nextNumber: 1, nextPosition: 1 };

/** A meta database as it was found. */
export interface FoundMeta {
  readonly meta: Meta;
  /** False: something was lost, so what it says of the segments is not all there was. */
  readonly isWhole: boolean;
}

/** The meta database: one value of type `MetaState`, changed by synced batches of what differs. */
export class Meta {
  readonly #disk: Disk;
  readonly #syncTimes: SyncTimes;
  #store: Store | null;
  #state: MetaState;
  /** What is in the database, by key; a value is compared by identity. */
  #records: Map<string, unknown>;

  constructor(disk: Disk, syncTimes: SyncTimes, found: { store: Store; records: Map<string, unknown> }) {
    this.#disk = disk;
    this.#syncTimes = syncTimes;
    this.#store = found.store;
    this.#records = found.records;
    this.#state = stateOf(found.records);
  }

  get state(): MetaState {
    return this.#state;
  }

  /**
   * Makes a state durable; afterwards, and only then, it is `state`.
   * @throws KomError KOM_STORE_WRITE; then `reopen` before the next commit
   */
  async commit(next: MetaState): Promise<void> {
    const records = recordsOf(next);
    const writes: StoreWrite[] = [];
    for (const [key, value] of records) {
      if (this.#records.get(key) === value) continue;
      writes.push({ type: 'put', key: Buffer.from(key), value: encodeMetaValue(value) });
    }
    for (const key of this.#records.keys()) {
      if (!records.has(key)) writes.push({ type: 'delete', key: Buffer.from(key) });
    }
    if (writes.length > 0) await this.#syncTimes.measure(writes, () => this.#write(writes));
    this.#records = records;
    this.#state = next;
  }

  /** After a failed write: what of it arrived is unknown, so the next commit compares everything. */
  async reopen(): Promise<void> {
    await this.close();
    this.#store = await openStore(this.#disk);
    this.#records = (await readAll(this.#store)).records;
  }

  async close(): Promise<void> {
    const store = this.#store;
    this.#store = null;
    await store?.close();
  }

  async #write(writes: readonly StoreWrite[]): Promise<void> {
    if (this.#store === null) await this.reopen();
    await this.#store?.batch(writes, { sync: true });
  }
}

/**
 * Opens the meta database whatever its state: repaired, or set aside and made anew.
 * @throws KomError KOM_STORE_LOCKED, or KOM_STORE_OPEN where the disk takes no write; then nothing is touched
 */
export async function openMeta(
  disk: Disk,
  setAside: (name: string) => Promise<void>,
  context: { readonly log: Log; readonly syncTimes: SyncTimes },
): Promise<FoundMeta> {
  const { log, syncTimes } = context;
  for (const attempt of ['open', 'repair', 'set aside'] as const) {
    try {
      if (attempt === 'repair') await disk.repair(META_NAME);
      if (attempt === 'set aside') await setAside(META_NAME);
      const store = await openStore(disk);
      try {
        const { records, isWhole } = await readAll(store);
        const meta = new Meta(disk, syncTimes, { store, records });
        return { meta, isWhole: isWhole && attempt === 'open' };
      } catch (error) {
        await store.close();
        throw error;
      }
    } catch (error) {
      if (!isKomError(error) || error.code === 'KOM_STORE_LOCKED' || attempt === 'set aside') throw error;
      log.warn({ attempt, error: describeError(error) }, 'the meta database does not open');
      if (!(await mayBeDamaged(error, disk, await disk.usedBytes(META_NAME)))) throw error;
    }
  }
  throw new Error('not reached: the last attempt returns or throws');
}

/** A meta database as it was looked at. */
export interface ReadMeta {
  /** Empty where nothing of it reads. */
  readonly state: MetaState;
  /** Why `state` is not all that there was; `null`: it is, as far as the database can tell. */
  readonly damage: string | null;
}

/**
 * What a meta database says, changing nothing.
 * @throws KomError KOM_STORE_LOCKED, or KOM_STORE_OPEN where its format is another
 */
export async function readMeta(disk: Disk): Promise<ReadMeta> {
  const unread = (damage: string): ReadMeta => ({ state: stateOf(new Map()), damage });
  if (!(await disk.list()).includes(META_NAME)) return unread('it is not there');
  const store = await openStore(disk).catch((error: unknown) => {
    if (isKomError(error, 'KOM_STORE_OPEN')) return error;
    throw error;
  });
  if (isKomError(store)) return unread(store.message);
  try {
    const { records, isWhole } = await readAll(store);
    return { state: stateOf(records), damage: isWhole ? null : 'some of its records do not pass their CRC' };
  } catch (error) {
    if (!isKomError(error, 'KOM_STORE_READ')) throw error;
    return unread(error.message);
  } finally {
    await store.close();
  }
}

function openStore(disk: Disk): Promise<Store> {
  return disk.open(META_NAME, { writeBufferBytes: WRITE_BUFFER_BYTES });
}

async function readAll(store: Store): Promise<{ records: Map<string, unknown>; isWhole: boolean }> {
  const records = new Map<string, unknown>();
  let isWhole = true;
  let after: Uint8Array | undefined;
  for (;;) {
    const step = await store.read({
      ...(after === undefined ? {} : { gt: after }),
      limitBytes: READ_BYTES,
    });
    for (const { key, value } of step) {
      const decoded = decodeMetaValue(value);
      // A damaged value stays listed as "something else", so the next commit overwrites or deletes it.
      records.set(Buffer.from(key).toString(), decoded);
      isWhole &&= decoded !== undefined;
    }
    after = step.at(-1)?.key;
    if (after === undefined) break;
  }
  const format = records.get('format');
  if (isOtherFormat(format)) {
    const got = JSON.stringify(format);
    throw new KomError('KOM_STORE_OPEN', META_NAME, { expected: `version ${FORMAT}`, got });
  }
  return { records, isWhole: isWhole && (format !== undefined || records.size === 0) };
}

function isOtherFormat(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'version' in value && value.version !== FORMAT;
}

const FORMAT_RECORD = { version: FORMAT };

function recordsOf(state: MetaState): Map<string, unknown> {
  const records = new Map<string, unknown>([
    ['format', FORMAT_RECORD],
    ['totals', state.totals],
  ]);
  for (const stream of state.streams) records.set(`stream/${padded(stream.ordinal)}`, stream);
  for (const segment of state.segments) records.set(`segment/${padded(segment.number)}`, segment);
  for (const gap of state.gaps) records.set(`gap/${gap.streamId}/${padded(gap.firstSequence)}`, gap);
  for (const told of state.told) records.set(`told/${padded(told.serial)}`, told);
  return records;
}

function stateOf(records: ReadonlyMap<string, unknown>): MetaState {
  // The CRC of each value and the version of the format vouch for the shape.
  const all = <T>(prefix: string): T[] =>
    [...records].flatMap(([key, value]) =>
      key.startsWith(prefix) && value !== undefined ? [value as T] : [],
    );
  return {
    streams: all<StreamRecord>('stream/'),
    segments: all<SegmentFacts>('segment/'),
    gaps: all<SequenceGap>('gap/'),
    told: all<ToldGap>('told/'),
    totals: (records.get('totals') ?? NO_TOTALS) as Totals,
  };
}

function padded(number: number): string {
  return String(number).padStart(16, '0');
}
