import { describeError, isKomError } from '../domain/errors.ts';
import type { Log } from '../world/log.ts';
import { mayBeDamaged } from '../world/probe.ts';
import type { Disk, Store } from '../world/store.ts';
import { decodeMetaValue, encodeMetaValue } from './record.ts';
import { segmentName, segmentNumber } from './segment.ts';

const LIST_NAME = 'meta';
const READ_BYTES = 1024 * 1024;
const WRITE_BUFFER_BYTES = 512 * 1024;

/** The sealed segments of a shelf, known without reading them. All of it can be made again from them. */
export class SegmentList<S> {
  readonly #store: Store;
  /** By number, as it was opened. */
  readonly found: ReadonlyMap<number, S>;

  private constructor(store: Store, found: ReadonlyMap<number, S>) {
    this.#store = store;
    this.found = found;
  }

  /**
   * Repaired, or made anew, where it is damaged. @throws KomError KOM_STORE_…: the disk takes nothing, or it
   * is somebody else's; then nothing is touched
   */
  static async open<S>(disk: Disk, log: Log): Promise<SegmentList<S>> {
    for (const attempt of ['open', 'repair', 'remove'] as const) {
      try {
        if (attempt === 'repair') await disk.repair(LIST_NAME);
        if (attempt === 'remove') await disk.remove(LIST_NAME);
        return await readList(await disk.open(LIST_NAME, { writeBufferBytes: WRITE_BUFFER_BYTES }));
      } catch (error) {
        if (!isKomError(error) || attempt === 'remove') throw error;
        // Where the disk takes nothing, whoever tries says so.
        if (!(await mayBeDamaged(error, disk, await disk.usedBytes(LIST_NAME)))) throw error;
        log.warn({ attempt, error: describeError(error) }, 'the list of segments does not open');
      }
    }
    throw new Error('not reached: the last attempt returns or throws');

    async function readList(store: Store): Promise<SegmentList<S>> {
      try {
        return new SegmentList(store, await readAll<S>(store));
      } catch (error) {
        await store.close();
        throw error;
      }
    }
  }

  /** Durable when it resolves. @throws KomError KOM_STORE_WRITE */
  async put(number: number, segment: S): Promise<void> {
    const key = Buffer.from(segmentName(number));
    await this.#store.batch([{ type: 'put', key, value: encodeMetaValue(segment) }], { sync: true });
  }

  /** @throws KomError KOM_STORE_WRITE */
  async drop(number: number): Promise<void> {
    await this.#store.batch([{ type: 'delete', key: Buffer.from(segmentName(number)) }], { sync: false });
  }

  async close(): Promise<void> {
    await this.#store.close();
  }
}

async function readAll<S>(store: Store): Promise<Map<number, S>> {
  const found = new Map<number, S>();
  let after: Uint8Array | undefined;
  for (;;) {
    const range = after === undefined ? {} : { gt: after };
    const records = await store.read({ ...range, limitBytes: READ_BYTES });
    if (records.length === 0) return found;
    for (const { key, value } of records) {
      after = key;
      const [number, segment] = [segmentNumber(Buffer.from(key).toString()), decodeMetaValue(value)];
      // The CRC vouches for the shape.
      if (number !== undefined && segment !== undefined) found.set(number, segment as S);
    }
  }
}
