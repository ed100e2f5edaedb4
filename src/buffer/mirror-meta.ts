import { describeError, isKomError } from '../domain/errors.ts';
import type { Log } from '../world/log.ts';
import type { Disk, Store } from '../world/store.ts';
import type { MirrorSegment } from './mirror-segment.ts';
import { decodeMetaValue, encodeMetaValue } from './record.ts';
import { segmentName } from './segment.ts';

const META_NAME = 'meta';
const READ_BYTES = 1024 * 1024;
const WRITE_BUFFER_BYTES = 512 * 1024;

/** What a mirror knows of its sealed segments without reading them. All of it can be made again from them. */
export class MirrorMeta {
  readonly #store: Store;

  private constructor(store: Store) {
    this.#store = store;
  }

  /** Repaired, or made anew. @throws KomError KOM_STORE_LOCKED, KOM_STORE_OPEN, KOM_STORE_WRITE */
  static async open(disk: Disk, log: Log): Promise<MirrorMeta> {
    for (const attempt of ['open', 'repair', 'remove'] as const) {
      try {
        if (attempt === 'repair') await disk.repair(META_NAME);
        if (attempt === 'remove') await disk.remove(META_NAME);
        return new MirrorMeta(await disk.open(META_NAME, { writeBufferBytes: WRITE_BUFFER_BYTES }));
      } catch (error) {
        if (isKomError(error, 'KOM_STORE_LOCKED') || attempt === 'remove') throw error;
        log.warn({ attempt, error: describeError(error) }, 'the list of mirrored segments does not open');
      }
    }
    throw new Error('not reached: the last attempt returns or throws');
  }

  /** The sealed segments by the names of their directories. @throws KomError KOM_STORE_READ */
  async segments(): Promise<Map<string, MirrorSegment>> {
    const found = new Map<string, MirrorSegment>();
    let after: Uint8Array | undefined;
    for (;;) {
      const range = after === undefined ? {} : { gt: after };
      const records = await this.#store.read({ ...range, limitBytes: READ_BYTES });
      for (const { key, value } of records) {
        after = key;
        const segment = decodeMetaValue(value);
        // The CRC vouches for the shape.
        if (segment !== undefined) found.set(Buffer.from(key).toString(), segment as MirrorSegment);
      }
      if (records.length === 0) return found;
    }
  }

  /** Durable when it resolves. @throws KomError KOM_STORE_WRITE */
  async put(segment: MirrorSegment): Promise<void> {
    const key = Buffer.from(segmentName(segment.facts.number));
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
