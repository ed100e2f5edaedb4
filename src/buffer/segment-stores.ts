import type { Disk, Store } from '../world/store.ts';
import { segmentName } from './segment.ts';

/** The write buffer takes a whole segment, so that its blocks are written once, to LevelDB's log. */
const WRITE_BUFFER_FACTOR = 1.25;
const CACHE_BYTES = 64 * 1024;

interface Opening {
  readonly number: number;
  readonly opening: Promise<Store>;
}

/**
 * The databases of segments that are open: the one that is written to, one more that is read, and for a
 * while the one that will be written to next, and the one that the blocks of the read one are copied to.
 */
export class SegmentStores {
  readonly #disk: Disk;
  readonly #writeBufferBytes: number;
  #writer: { number: number; store: Store } | null = null;
  #reader: { number: number; store: Store } | null = null;
  #next: Opening | null = null;
  #copy: Opening | null = null;
  /** Highest number that was closed after it was written to: from there on it is not in a write buffer. */
  #closedThrough = 0;

  constructor(disk: Disk, segmentBytes: number) {
    this.#disk = disk;
    this.#writeBufferBytes = Math.ceil(segmentBytes * WRITE_BUFFER_FACTOR);
  }

  /** For writing; the segment that was written to before is closed. */
  async writer(number: number): Promise<Store> {
    if (this.#writer?.number === number) return this.#writer.store;
    await this.#closeWriter();
    if (this.#reader?.number === number) await this.#closeReader();
    this.#writer = { number, store: await (this.#takeNext(number) ?? this.#open(number)) };
    return this.#writer.store;
  }

  /**
   * Makes the database that `writer` is going to be asked for next, beside all that goes on meanwhile.
   * @throws KomError KOM_STORE_OPEN
   */
  async prepare(number: number): Promise<void> {
    await this.#closeNext();
    const opening = this.#open(number);
    this.#next = { number, opening };
    try {
      await opening;
    } catch (error) {
      if (this.#next?.opening === opening) this.#next = null;
      throw error;
    }
  }

  /**
   * Leaves the segment that is written to open for `kept`, in the place of the one that is read: its blocks
   * are in its write buffer, and reading them from there makes LevelDB write nothing. False: they are not.
   */
  async keepWriter(number: number): Promise<boolean> {
    if (this.#writer?.number !== number || number <= this.#closedThrough) return false;
    await this.#closeReader();
    this.#reader = this.#writer;
    this.#writer = null;
    return true;
  }

  /** What `keepWriter` left open, as long as nothing closed it. */
  kept(number: number): Store | undefined {
    return this.#reader?.number === number ? this.#reader.store : undefined;
  }

  /**
   * Makes the database that blocks are copied to, beside all that goes on meanwhile.
   * @throws KomError KOM_STORE_OPEN
   */
  async openCopy(number: number): Promise<void> {
    const opening = this.#open(number);
    this.#copy = { number, opening };
    await opening;
  }

  /** What `openCopy` opened; `undefined`: it was closed. */
  copy(number: number): Promise<Store> | undefined {
    return this.#copy?.number === number ? this.#copy.opening : undefined;
  }

  /** For reading; the segment that was read before is closed. */
  async reader(number: number): Promise<Store> {
    if (this.#writer?.number === number) return this.#writer.store;
    if (this.#reader?.number === number) return this.#reader.store;
    await this.#closeReader();
    this.#reader = { number, store: await this.#open(number) };
    return this.#reader.store;
  }

  /** Closes one segment, if it is open, so that it can be repaired, moved or deleted. */
  async release(number: number): Promise<void> {
    if (this.#writer?.number === number) await this.#closeWriter();
    if (this.#reader?.number === number) await this.#closeReader();
    if (this.#next?.number === number) await this.#closeNext();
    if (this.#copy?.number === number) await this.#closeCopy();
  }

  /** Closes the segments that are written to and read. */
  async closeUsed(): Promise<void> {
    try {
      await this.#closeWriter();
    } finally {
      await this.#closeReader();
    }
  }

  async close(): Promise<void> {
    try {
      await this.closeUsed();
    } finally {
      await this.#closeNext();
      await this.#closeCopy();
    }
  }

  #takeNext(number: number): Promise<Store> | undefined {
    if (this.#next?.number !== number) return undefined;
    const { opening } = this.#next;
    this.#next = null;
    return opening;
  }

  async #closeNext(): Promise<void> {
    const next = this.#next;
    this.#next = null;
    await closeOpening(next);
  }

  async #closeCopy(): Promise<void> {
    const copy = this.#copy;
    this.#copy = null;
    await closeOpening(copy);
  }

  #open(number: number): Promise<Store> {
    return this.#disk.open(segmentName(number), {
      writeBufferBytes: this.#writeBufferBytes,
      cacheBytes: CACHE_BYTES,
    });
  }

  async #closeWriter(): Promise<void> {
    const open = this.#writer;
    this.#writer = null;
    this.#closedThrough = Math.max(this.#closedThrough, open?.number ?? 0);
    await open?.store.close();
  }

  async #closeReader(): Promise<void> {
    const open = this.#reader;
    this.#reader = null;
    await open?.store.close();
  }
}

async function closeOpening(opening: Opening | null): Promise<void> {
  // One that did not open is no more to close, and whoever asked for it knows.
  await (await opening?.opening.catch(() => undefined))?.close();
}
