import { type Block, lastSequence } from '../domain/block/block.ts';
import type { SequenceRange } from '../domain/coverage.ts';
import { describeError, isKomError, KomError } from '../domain/errors.ts';
import { RangeSet } from '../domain/range-set.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Disk, Store } from '../world/store.ts';
import {
  blocksIn,
  emptyForwardSegment,
  type ForwardSegment,
  forwardedBytes,
  heldOf,
  scanForwardSegment,
  withForwarded,
} from './forward-segment.ts';
import { decodeMetaValue, encodeMetaValue } from './record.ts';
import { segmentName, segmentNumber } from './segment.ts';
import { SegmentStores } from './segment-stores.ts';
import { SerialQueue } from './serial-queue.ts';

const META_NAME = 'meta';
const META_BUFFER_BYTES = 512 * 1024;
const READ_BYTES = 1024 * 1024;
/** A disk that failed is tried again at most so often. */
const RETRY_MS = 1000;

export interface ForwardRingOptions {
  readonly disk: Disk;
  readonly capacityBytes: number;
  readonly segmentBytes: number;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The blocks that came into a Kernel's archive last, verbatim, for the other Kernels: as bounded and as
 * segmented as the ring of an agent, but of any stream and in any order. Nobody acknowledges anything here:
 * the oldest segment goes when the room is needed, and what other Kernels have their coverage tells.
 */
export class ForwardRing {
  readonly #options: ForwardRingOptions;
  readonly #stores: SegmentStores;
  readonly #queue = new SerialQueue();
  /** In the order in which they were written; the last one is written to while `#meta` is open. */
  readonly #segments = new Map<number, ForwardSegment>();
  readonly #held = new Map<string, RangeSet>();
  #meta: Store | null = null;
  #writing: number | null = null;
  #nextNumber = 1;
  #failedMs = Number.NEGATIVE_INFINITY;
  #lastError: string | null = null;

  private constructor(options: ForwardRingOptions) {
    this.#options = options;
    this.#stores = new SegmentStores(options.disk, options.segmentBytes);
  }

  /** Always succeeds: a disk that gives nothing is tried again when there is something to write. */
  static async open(options: ForwardRingOptions): Promise<ForwardRing> {
    const ring = new ForwardRing(options);
    await ring.#queue
      .run(() => ring.#recovered())
      .catch((error: unknown) => {
        if (!isKomError(error)) throw error;
      });
    return ring;
  }

  get diskBytes(): number {
    return [...this.#segments.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Why the disk takes nothing now; `null` while it does. */
  get lastError(): string | null {
    return this.#lastError;
  }

  /** What `read` gives, but for what turns out to be damaged; ascending. */
  held(streamId: string): readonly SequenceRange[] {
    return this.#held.get(streamId)?.ranges ?? [];
  }

  /** Makes blocks durable; what is held already is passed over. @throws KomError KOM_STORE_WRITE */
  append(blocks: readonly Block[]): Promise<void> {
    return this.#queue.runFirst(async () => {
      await this.#recovered();
      try {
        for (let left = blocks.filter((each) => !this.#has(each)); left.length > 0; ) {
          left = left.slice(await this.#write(left));
        }
      } catch (error) {
        throw await this.#failed(error);
      }
    });
  }

  /** The first blocks that have numbers of a range, about so many bytes. Empty where it does not read. */
  read(streamId: string, range: SequenceRange, limitBytes: number): Promise<Block[]> {
    return this.#queue.run(async () => {
      const place = this.#find(streamId, range);
      if (place === undefined) return [];
      const { segment, held } = place;
      try {
        const store = await this.#stores.reader(segment.number);
        const blocks = await blocksIn(store, { streamId, range: held, limitBytes });
        // What a damaged block had in front of the first one that reads is not held any more.
        const readFrom = blocks[0]?.header.firstSequence ?? held.last + 1;
        if (readFrom > held.first) this.#forget(segment, streamId, { first: held.first, last: readFrom - 1 });
        return blocks;
      } catch (error) {
        if (!isKomError(error)) throw error;
        await this.#doesNotRead(segment.number, error);
        return [];
      }
    });
  }

  async close(): Promise<void> {
    await this.#queue.run(async () => {
      try {
        await this.#seal();
        await this.#stores.close();
        await this.#meta?.close();
      } catch (error) {
        this.#options.log.warn({ error: describeError(error) }, 'the forwarding ring is read anew next time');
      }
      this.#meta = null;
    });
  }

  #has({ header }: Block): boolean {
    const range = { first: header.firstSequence, last: lastSequence(header) };
    return this.#held.get(header.streamId)?.holds(range) ?? false;
  }

  /** The lowest numbers of a range that are held, and where. */
  #find(streamId: string, range: SequenceRange) {
    let found: { readonly segment: ForwardSegment; readonly held: SequenceRange } | undefined;
    for (const segment of this.#segments.values()) {
      const [held] = heldOf(segment, streamId, range);
      if (held !== undefined && held.first < (found?.held.first ?? Number.POSITIVE_INFINITY)) {
        found = { segment, held };
      }
    }
    return found;
  }

  /** Writes what fits into one segment, in one synced batch. Returns how many blocks. */
  async #write(blocks: readonly Block[]): Promise<number> {
    const { segmentBytes } = this.#options;
    let segment = this.#writing === null ? undefined : this.#segments.get(this.#writing);
    const needed = forwardedBytes(blocks[0] as Block);
    if (segment === undefined || (segment.bytes > 0 && segment.bytes + needed > segmentBytes)) {
      segment = await this.#startSegment(needed);
    }
    let bytes = segment.bytes;
    const fitting = blocks.findIndex((block, at) => {
      bytes += forwardedBytes(block);
      return at > 0 && bytes > segmentBytes;
    });
    const taken = fitting === -1 ? blocks : blocks.slice(0, fitting);
    const next = withForwarded(segment, taken);
    const store = await this.#stores.writer(segment.number);
    await store.batch(next.writes, { sync: true });
    this.#segments.set(segment.number, next.segment);
    for (const { header } of taken) {
      this.#heldOf(header.streamId).add({ first: header.firstSequence, last: lastSequence(header) });
    }
    return taken.length;
  }

  async #startSegment(neededBytes: number): Promise<ForwardSegment> {
    const { capacityBytes, segmentBytes } = this.#options;
    await this.#seal();
    const roomBytes = Math.max(0, capacityBytes - Math.max(segmentBytes, neededBytes));
    for (const { number } of this.#segments.values()) {
      if (this.diskBytes <= roomBytes) break;
      await this.#drop(number);
    }
    const segment = emptyForwardSegment(this.#nextNumber++);
    this.#segments.set(segment.number, segment);
    this.#writing = segment.number;
    return segment;
  }

  async #seal(): Promise<void> {
    const segment = this.#writing === null ? undefined : this.#segments.get(this.#writing);
    this.#writing = null;
    if (segment === undefined) return;
    await this.#stores.closeUsed();
    const usedBytes = await this.#options.disk.usedBytes(segmentName(segment.number));
    const sealed = { ...segment, bytes: Math.max(segment.bytes, usedBytes) };
    this.#segments.set(sealed.number, sealed);
    const key = Buffer.from(segmentName(sealed.number));
    await this.#meta?.batch([{ type: 'put', key, value: encodeMetaValue(sealed) }], { sync: true });
  }

  async #drop(number: number): Promise<void> {
    const segment = this.#segments.get(number);
    this.#segments.delete(number);
    for (const streamId of Object.keys(segment?.held ?? {})) this.#holdAnew(streamId);
    await this.#stores.release(number);
    await this.#options.disk.remove(segmentName(number));
    const key = Buffer.from(segmentName(number));
    await this.#meta?.batch([{ type: 'delete', key }], { sync: false });
  }

  #forget(segment: ForwardSegment, streamId: string, range: SequenceRange): void {
    const left = new RangeSet(segment.held[streamId] ?? []);
    left.remove(range);
    this.#segments.set(segment.number, { ...segment, held: { ...segment.held, [streamId]: left.ranges } });
    this.#holdAnew(streamId);
  }

  #holdAnew(streamId: string): void {
    const ranges = [...this.#segments.values()].flatMap(({ held }) => held[streamId] ?? []);
    if (ranges.length === 0) this.#held.delete(streamId);
    else this.#held.set(streamId, new RangeSet(ranges));
  }

  #heldOf(streamId: string): RangeSet {
    const known = this.#held.get(streamId);
    if (known !== undefined) return known;
    const held = new RangeSet();
    this.#held.set(streamId, held);
    return held;
  }

  /** A segment that fails at a second look, after a repair, is given up. */
  async #doesNotRead(number: number, error: KomError): Promise<void> {
    const { disk, log, clock } = this.#options;
    log.warn({ number, error: error.message }, 'a segment of the forwarding ring does not read');
    if (clock.monotonicMs() - this.#failedMs < RETRY_MS) return;
    this.#failedMs = clock.monotonicMs();
    try {
      await this.#stores.release(number);
      await disk.repair(segmentName(number));
      await (await this.#stores.reader(number)).read({ limit: 1 });
    } catch (again) {
      if (!isKomError(again)) throw again;
      // On a disk that is away nothing can be deleted either, and all is there when it comes back.
      if ((await disk.list().catch(() => null)) !== null) await this.#drop(number).catch(() => {});
    }
  }

  /** Open, now if need be. @throws KomError KOM_STORE_WRITE */
  async #recovered(): Promise<void> {
    const { clock, disk } = this.#options;
    if (this.#meta !== null) return;
    if (clock.monotonicMs() - this.#failedMs < RETRY_MS) {
      throw new KomError('KOM_STORE_WRITE', 'the forwarding ring', { got: this.#lastError ?? 'not open' });
    }
    try {
      this.#meta = await this.#openMeta();
      const known = await this.#knownSegments(this.#meta);
      this.#segments.clear();
      for (const name of await disk.list()) {
        const number = segmentNumber(name);
        if (number === undefined) continue;
        this.#nextNumber = Math.max(this.#nextNumber, number + 1);
        const segment = known.get(name) ?? (await this.#adopted(number));
        if (segment !== null) this.#segments.set(number, segment);
      }
      this.#held.clear();
      const streams = new Set([...this.#segments.values()].flatMap(({ held }) => Object.keys(held)));
      for (const streamId of streams) this.#holdAnew(streamId);
      this.#lastError = null;
    } catch (error) {
      throw await this.#failed(error);
    }
  }

  async #openMeta(): Promise<Store> {
    const { disk, log } = this.#options;
    const options = { writeBufferBytes: META_BUFFER_BYTES };
    try {
      return await disk.open(META_NAME, options);
    } catch (error) {
      if (isKomError(error, 'KOM_STORE_LOCKED')) throw error;
      log.warn({ error: describeError(error) }, 'the list of forwarded segments is made anew');
      await disk.remove(META_NAME);
      return await disk.open(META_NAME, options);
    }
  }

  async #knownSegments(meta: Store): Promise<Map<string, ForwardSegment>> {
    const found = new Map<string, ForwardSegment>();
    let after: Uint8Array | undefined;
    for (;;) {
      const range = after === undefined ? {} : { gt: after };
      const records = await meta.read({ ...range, limitBytes: READ_BYTES });
      if (records.length === 0) return found;
      for (const { key, value } of records) {
        after = key;
        const segment = decodeMetaValue(value);
        // The CRC vouches for the shape.
        if (segment !== undefined) found.set(Buffer.from(key).toString(), segment as ForwardSegment);
      }
    }
  }

  /** Reads a segment that was not sealed, repaired if need be; `null`: nothing of it can be used. */
  async #adopted(number: number): Promise<ForwardSegment | null> {
    const { disk, log } = this.#options;
    const name = segmentName(number);
    for (const attempt of ['open', 'repair'] as const) {
      try {
        if (attempt === 'repair') await disk.repair(name);
        const segment = await scanForwardSegment(await this.#stores.reader(number), number);
        const bytes = Math.max(segment.bytes, await disk.usedBytes(name));
        const sealed = { ...segment, bytes };
        const key = Buffer.from(name);
        await this.#meta?.batch([{ type: 'put', key, value: encodeMetaValue(sealed) }], { sync: true });
        return sealed;
      } catch (error) {
        if (!isKomError(error)) throw error;
        log.warn({ name, attempt, error: error.message }, 'a segment of the forwarding ring does not open');
      } finally {
        await this.#stores.release(number);
      }
    }
    await disk.remove(name);
    return null;
  }

  /** Closed until the disk is tried again; what is durable stays so. */
  async #failed(error: unknown): Promise<unknown> {
    const { clock, log } = this.#options;
    if (!isKomError(error)) return error;
    if (this.#lastError !== error.message) log.error({ error: error.message }, 'the forwarding ring fails');
    this.#lastError = error.message;
    this.#failedMs = clock.monotonicMs();
    const meta = this.#meta;
    this.#meta = null;
    this.#writing = null;
    for (const database of [this.#stores, meta]) {
      await database?.close().catch((closing: unknown) => {
        log.debug({ error: describeError(closing) }, 'a database of the forwarding ring did not close');
      });
    }
    return error.code === 'KOM_STORE_WRITE'
      ? error
      : new KomError('KOM_STORE_WRITE', 'the forwarding ring', { got: error.message, cause: error });
  }
}
