import { describeError, isKomError, KomError } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { mayBeDamaged } from '../world/probe.ts';
import { RecurringLog } from '../world/recurring-log.ts';
import type { Disk, Store } from '../world/store.ts';
import { segmentName, segmentNumber } from './segment.ts';
import { SegmentList } from './segment-list.ts';
import { SegmentStores } from './segment-stores.ts';

/** A disk that failed is tried again at most so often. */
const RETRY_MS = 1000;

export interface ShelfOptions<S> {
  readonly disk: Disk;
  readonly segmentBytes: number;
  readonly clock: Clock;
  readonly log: Log;
  /** For messages: `the mirror`. */
  readonly name: string;
  /** What a segment has of which nothing is known. @throws KomError KOM_STORE_READ */
  readonly scan: (store: Store, number: number) => Promise<S>;
  /** The segment, sealed, with what it takes on the disk where that is more than was counted. */
  readonly sealed: (segment: S, usedBytes: number) => S;
}

/**
 * Segments of blocks whose owner is elsewhere: what is lost here nobody declares. So nothing is repaired or
 * deleted unless it is damaged: on a disk that takes nothing the shelf closes, says so, and tries again.
 */
export class SegmentShelf<S> {
  readonly stores: SegmentStores;
  readonly #options: ShelfOptions<S>;
  readonly #recurring: RecurringLog;
  #list: SegmentList<S> | null = null;
  #nextNumber = 1;
  #failedMs = Number.NEGATIVE_INFINITY;
  #repairedMs = Number.NEGATIVE_INFINITY;
  #lastError: string | null = null;

  constructor(options: ShelfOptions<S>) {
    this.#options = options;
    this.#recurring = new RecurringLog(options);
    this.stores = new SegmentStores(options.disk, options.segmentBytes);
  }

  /** Why the disk takes nothing now; `null` while it does. */
  get lastError(): string | null {
    return this.#lastError;
  }

  /** Of a segment that is new. */
  takeNumber(): number {
    return this.#nextNumber++;
  }

  /**
   * Open, now if need be: then the segments that are there, in the order in which they were written, but for
   * those that `isLoaded`; `null` where it was open. @throws KomError KOM_STORE_WRITE
   */
  async recovered(isLoaded: (number: number) => boolean): Promise<Map<number, S> | null> {
    const { clock, disk, log, name } = this.#options;
    if (this.#list !== null) return null;
    if (clock.monotonicMs() - this.#failedMs < RETRY_MS) {
      throw new KomError('KOM_STORE_WRITE', name, { got: this.#lastError ?? 'it is not open' });
    }
    try {
      this.#list = await SegmentList.open<S>(disk, log);
      const { found } = this.#list;
      const numbers = (await disk.list()).flatMap((each) => segmentNumber(each) ?? []);
      this.#nextNumber = Math.max(this.#nextNumber, ...[...numbers, ...found.keys()].map((each) => each + 1));
      const segments = new Map<number, S>();
      for (const number of numbers.filter((each) => !isLoaded(each))) {
        const segment = found.get(number) ?? (await this.#adopted(number));
        if (segment !== null) segments.set(number, segment);
      }
      this.#lastError = null;
      return segments;
    } catch (error) {
      throw await this.failed(error);
    }
  }

  /** Closes the segment that was written to; it is known from now on. @throws KomError KOM_STORE_… */
  async seal(number: number, segment: S): Promise<S> {
    await this.stores.closeUsed();
    return await this.#listed(number, segment);
  }

  /** @throws KomError KOM_STORE_WRITE: it, or its place in the list, may be there */
  async drop(number: number): Promise<void> {
    await this.stores.release(number);
    await this.#options.disk.remove(segmentName(number));
    await this.#list?.drop(number);
  }

  /**
   * A segment did not read. True: it is damaged beyond repair, and for its owner to drop. Where the disk
   * takes nothing it may be whole, and waits.
   */
  async isBeyondRepair(number: number, error: unknown): Promise<boolean> {
    const { clock, name: of } = this.#options;
    if (!isKomError(error)) throw error;
    const fields = { of, number, error: error.message };
    this.#recurring.say('warn', `read ${number}`, fields, 'a segment does not read');
    if (clock.monotonicMs() - this.#repairedMs < RETRY_MS) return false;
    this.#repairedMs = clock.monotonicMs();
    try {
      await this.stores.release(number);
      const isWhole = (store: Store) => store.read({ limit: 1 });
      if (!(await this.#isDamaged(error))) return false;
      return (await this.#repaired(number, isWhole)) === null;
    } catch (again) {
      if (!isKomError(again)) throw again;
      return false;
    }
  }

  /** Closed until the disk is tried again; what is durable stays so. Gives what is to be thrown. */
  async failed(error: unknown): Promise<unknown> {
    const { clock, log, name } = this.#options;
    if (!isKomError(error)) return error;
    this.#recurring.say('error', error.code, { error: error.message }, `${name} takes nothing`);
    this.#lastError = error.message;
    this.#failedMs = clock.monotonicMs();
    const list = this.#list;
    this.#list = null;
    for (const database of [this.stores, list]) {
      await database?.close().catch((closing: unknown) => {
        log.debug({ error: describeError(closing) }, `a database of ${name} did not close`);
      });
    }
    return error.code === 'KOM_STORE_WRITE'
      ? error
      : new KomError('KOM_STORE_WRITE', name, { got: error.message, cause: error });
  }

  /** For good, once what was open is sealed. */
  async close(seal: () => Promise<unknown>): Promise<void> {
    try {
      await seal();
      await this.stores.close();
      await this.#list?.close();
    } catch (error) {
      const { log, name } = this.#options;
      log.warn({ error: describeError(error) }, `${name} did not close; it is read anew`);
    }
    this.#list = null;
  }

  /** Reads a segment that was not sealed, repaired if need be; `null`: nothing of it can be used. */
  async #adopted(number: number): Promise<S | null> {
    const { disk, log, name: of, scan } = this.#options;
    const scanned = (store: Store) => scan(store, number);
    const segment = await this.#read(number, scanned).catch(async (error: unknown) => {
      if (!isKomError(error)) throw error;
      log.warn({ of, number, error: error.message }, 'a segment does not open');
      if (!(await this.#isDamaged(error))) throw error;
      return await this.#repaired(number, scanned);
    });
    if (segment !== null) return await this.#listed(number, segment);
    await disk.remove(segmentName(number));
    log.error({ of, number }, 'a segment is lost');
    return null;
  }

  /** What a job gives on a segment that was repaired; `null`: it is beyond. @throws KomError KOM_STORE_… */
  async #repaired<T>(number: number, job: (store: Store) => Promise<T>): Promise<T | null> {
    const { disk, log, name: of } = this.#options;
    try {
      await disk.repair(segmentName(number));
      return await this.#read(number, job);
    } catch (error) {
      if (!isKomError(error)) throw error;
      log.warn({ of, number, error: error.message }, 'a segment does not open when it is repaired');
      if (!(await this.#isDamaged(error))) throw error;
      return null;
    }
  }

  async #read<T>(number: number, job: (store: Store) => Promise<T>): Promise<T> {
    try {
      return await job(await this.stores.reader(number));
    } finally {
      await this.stores.release(number);
    }
  }

  async #isDamaged(error: KomError): Promise<boolean> {
    const { disk, segmentBytes } = this.#options;
    return await mayBeDamaged(error, disk, segmentBytes);
  }

  async #listed(number: number, segment: S): Promise<S> {
    const { disk, sealed } = this.#options;
    const listed = sealed(segment, await disk.usedBytes(segmentName(number)));
    await this.#list?.put(number, listed);
    return listed;
  }
}
