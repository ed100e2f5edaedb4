import { type Block, lastSequence } from '../domain/block/block.ts';
import { readBlock } from '../domain/block/codec.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { SideStore } from '../world/side-store.ts';
import type { Disk, Store, StoreWrite } from '../world/store.ts';

/** Bounds on what is kept, dictionaries included; the oldest goes first. */
export const POISON_BLOCKS_MAX = 64;
export const POISON_BYTES_MAX = 32 * 1024 * 1024;

const READ_BYTES = 64 * 1024 * 1024;

/** A block that a Kernel refused. Its numbers are in a gap `rejected`. */
export interface PoisonItem {
  readonly streamId: string;
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly fromUs: number;
  readonly toUs: number;
  readonly bytes: number;
  readonly dictionaryHash: string;
  /** Bytes of its dictionary; 0 where the ring did not have it. */
  readonly dictionaryBytes: number;
  readonly reason: string;
  /** What the Kernel said. */
  readonly text: string;
  readonly keptAtUs: number;
  /** How often a Kernel refused it. */
  readonly refusals: number;
}

/** A refused block with what it needs to be sent again. */
export interface PoisonBlock {
  readonly block: Block;
  readonly dictionary: Uint8Array | undefined;
}

/**
 * Where blocks go that a Kernel refuses for good: kept aside in the ring's directory, bounded, to be sent
 * once
 * more when somebody asks for it. In the database `poison`, keys are `about/<stream>/<first sequence>`
 * (JSON),
 * `block/…` and `dictionary/<hash>`.
 */
export class Poison {
  readonly #store: SideStore;
  readonly #clock: Clock;
  readonly #log: Log;

  constructor({ disk, clock, log }: { readonly disk: Disk; readonly clock: Clock; readonly log: Log }) {
    this.#store = new SideStore(disk, 'poison');
    this.#clock = clock;
    this.#log = log;
  }

  /** What is kept, the oldest first. @throws KomError KOM_STORE_OPEN, KOM_STORE_READ */
  list(): Promise<PoisonItem[]> {
    return this.#store.look([], readItems);
  }

  /**
   * Keeps a block durably; one that is kept already counts one more refusal. @throws KomError KOM_STORE_WRITE
   */
  keep(
    { block, dictionary }: PoisonBlock,
    refusal: { readonly reason: string; readonly text: string },
  ): Promise<void> {
    const { streamId, firstSequence, fromUs, toUs, dictionaryHash } = block.header;
    return this.#store.use(async (store) => {
      const items = await readItems(store);
      const before = items.find((item) => isOf(item, streamId, firstSequence));
      const item: PoisonItem = {
        ...{ streamId, firstSequence, lastSequence: lastSequence(block.header), fromUs, toUs },
        ...{ bytes: block.bytes.length, dictionaryHash, dictionaryBytes: dictionary?.length ?? 0 },
        ...refusal,
        keptAtUs: before?.keptAtUs ?? this.#clock.wallUs(),
        refusals: (before?.refusals ?? 0) + 1,
      };
      const others = items.filter((each) => each !== before);
      const victims = surplus([...others, item]);
      const writes: StoreWrite[] = [put(keyOf('about', item), Buffer.from(JSON.stringify(item)))];
      if (before === undefined) writes.push(put(keyOf('block', item), block.bytes));
      if (dictionary !== undefined) writes.push(put(`dictionary/${dictionaryHash}`, dictionary));
      await store.batch([...writes, ...deletions(victims, [...others, item])], { sync: true });
      for (const { streamId: stream, firstSequence: first } of victims) {
        this.#log.error(
          { streamId: stream, first },
          'the poison folder is full: its oldest block is deleted',
        );
      }
    });
  }

  /** The blocks of these items. @throws KomError KOM_STORE_READ, KOM_BLOCK_CORRUPT */
  blocks(items: readonly PoisonItem[]): Promise<PoisonBlock[]> {
    return this.#store.look([], async (store) => {
      const found: PoisonBlock[] = [];
      for (const item of items) {
        const bytes = await store.get(Buffer.from(keyOf('block', item)));
        const dictionary = await store.get(Buffer.from(`dictionary/${item.dictionaryHash}`));
        if (bytes !== undefined) found.push({ block: readBlock(bytes), dictionary });
      }
      return found;
    });
  }

  /** Forgets a block: it is archived after all, or nobody wants it. False: it is not here. */
  forget(streamId: string, firstSequence: number): Promise<boolean> {
    return this.#store.look(false, async (store) => {
      const items = await readItems(store);
      const victims = items.filter((item) => isOf(item, streamId, firstSequence));
      if (victims.length > 0) await store.batch(deletions(victims, items), { sync: true });
      return victims.length > 0;
    });
  }
}

async function readItems(store: Store): Promise<PoisonItem[]> {
  const records = await store.read({
    gte: Buffer.from('about/'),
    lt: Buffer.from('about0'),
    limitBytes: READ_BYTES,
  });
  return records
    .map(({ value }) => JSON.parse(Buffer.from(value).toString('utf8')) as PoisonItem)
    .toSorted((one, other) => one.keptAtUs - other.keptAtUs);
}

/** The oldest ones that are too many. */
function surplus(items: readonly PoisonItem[]): PoisonItem[] {
  const bytesOf = (kept: readonly PoisonItem[]): number => {
    const dictionaries = new Map(kept.map((item) => [item.dictionaryHash, item.dictionaryBytes]));
    const blocks = kept.reduce((sum, item) => sum + item.bytes, 0);
    return [...dictionaries.values()].reduce((sum, bytes) => sum + bytes, blocks);
  };
  let first = Math.max(0, items.length - POISON_BLOCKS_MAX);
  while (first < items.length - 1 && bytesOf(items.slice(first)) > POISON_BYTES_MAX) first += 1;
  return items.slice(0, first);
}

function deletions(victims: readonly PoisonItem[], all: readonly PoisonItem[]): StoreWrite[] {
  const used = new Set(all.filter((item) => !victims.includes(item)).map((item) => item.dictionaryHash));
  const orphans = new Set(victims.map((item) => item.dictionaryHash).filter((hash) => !used.has(hash)));
  const keys = [
    ...victims.flatMap((item) => [keyOf('about', item), keyOf('block', item)]),
    ...[...orphans].map((hash) => `dictionary/${hash}`),
  ];
  return keys.map((key): StoreWrite => ({ type: 'delete', key: Buffer.from(key) }));
}

function put(key: string, value: Uint8Array): StoreWrite {
  return { type: 'put', key: Buffer.from(key), value };
}

function isOf(item: PoisonItem, streamId: string, firstSequence: number): boolean {
  return item.streamId === streamId && item.firstSequence === firstSequence;
}

function keyOf(kind: 'about' | 'block', item: Pick<PoisonItem, 'streamId' | 'firstSequence'>): string {
  return `${kind}/${item.streamId}/${String(item.firstSequence).padStart(16, '0')}`;
}
