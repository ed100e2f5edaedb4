import { type Block, lastSequence } from '../domain/block/block.ts';
import type { SequenceRange } from '../domain/coverage.ts';
import { isContentOf } from '../domain/dictionary-codec.ts';
import { describeError, isKomError, KomError } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Disk, Store } from '../world/store.ts';
import { MirrorIndex, type PlacedRun } from './mirror-index.ts';
import {
  emptyMirrorSegment,
  type ForeignBlock,
  type MirrorSegment,
  scanMirrorSegment,
  sealedMirrorSegment,
  withForeign,
} from './mirror-segment.ts';
import type { MirroredStream } from './mirrored-stream.ts';
import {
  decodeBlockRecord,
  decodeDictionaryRecord,
  dictionaryKey,
  positionKey,
  positionOf,
  RECORD_OVERHEAD_BYTES,
} from './record.ts';
import { FOREIGN_RUNS_MAX, type Run } from './segment.ts';
import { SegmentShelf } from './segment-shelf.ts';
import { SerialQueue } from './serial-queue.ts';

/** Each restart begins a new segment; with more than this the oldest goes, however small. */
const SEGMENTS_MAX = 256;
/** Records looked at in one step while the place of a number is sought. */
const READ_BYTES = 256 * 1024;

export interface MirrorStoreOptions {
  readonly disk: Disk;
  /** What it may take on the disk now; asked before each new segment and by `trim`. */
  readonly boundBytes: () => number;
  readonly segmentBytes: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Of streams whose description is lost. */
  readonly ownerInstance: number;
}

/**
 * Blocks of the other instance on the disk of this one: as bounded as the ring, of any stream and in any
 * order. It declares nothing: what does not fit pushes out the oldest, and what does not read is left out;
 * both are no longer said to be held. Writing rejects while the disk takes nothing.
 */
export class MirrorStore {
  readonly #options: MirrorStoreOptions;
  readonly #shelf: SegmentShelf<MirrorSegment>;
  readonly #queue = new SerialQueue();
  readonly #index = new MirrorIndex();
  /** By stream, the highest number that had to go since there was last room for everything. */
  readonly #gaveUp = new Map<string, number>();
  #open: MirrorSegment | null = null;
  /** Where reading of a run went on to. */
  #hint: { readonly place: PlacedRun; readonly position: number; readonly sequence: number } | null = null;

  private constructor(options: MirrorStoreOptions) {
    this.#options = options;
    const { ownerInstance } = options;
    this.#shelf = new SegmentShelf({
      ...options,
      name: 'the mirror',
      scan: (store, number) => scanMirrorSegment(store, { number, ownerInstance }),
      sealed: sealedMirrorSegment,
    });
  }

  /** Always succeeds: a disk that gives nothing is tried again when there is something to write. */
  static async open(options: MirrorStoreOptions): Promise<MirrorStore> {
    const store = new MirrorStore(options);
    await store.#queue
      .run(() => store.#recovered())
      .catch((error: unknown) => {
        if (!isKomError(error)) throw error;
      });
    return store;
  }

  get streams(): readonly MirroredStream[] {
    return this.#index.streams;
  }

  get diskBytes(): number {
    return this.#index.bytes;
  }

  get lastError(): string | null {
    return this.#shelf.lastError;
  }

  /** What `read` gives, but for what turns out to be damaged. */
  held(streamId: string): readonly SequenceRange[] {
    return this.#index.held(streamId);
  }

  /** Up to here it gave up what it does not hold; 0: nothing. */
  gaveUpThrough(streamId: string): number {
    return this.#gaveUp.get(streamId) ?? 0;
  }

  /**
   * Makes blocks durable; what is held already is passed over. @throws KomError KOM_STORE_WRITE: none of it
   * is promised
   */
  append(blocks: readonly ForeignBlock[]): Promise<void> {
    return this.#queue.runFirst(async () => {
      await this.#recovered();
      try {
        for (let left = blocks.filter((each) => !this.#has(each.block)); left.length > 0; ) {
          const written = await this.#write(left);
          left = left.slice(written);
        }
      } catch (error) {
        throw await this.#failed(error);
      }
    });
  }

  /** The first blocks that have numbers of a range, about so many bytes. Empty where it does not read. */
  read(streamId: string, range: SequenceRange, limitBytes: number): Promise<Block[]> {
    return this.#queue.run(async () => {
      // A segment that does not read is repaired or given up, and what is left is read.
      for (let tries = 0; tries < 2; tries++) {
        const place = this.#index.find(streamId, range);
        if (place === undefined) break;
        try {
          const store = await this.#shelf.stores.reader(place.number);
          return await this.#blocksOf(store, place, { range, limitBytes });
        } catch (error) {
          await this.#doesNotRead(place.number, error);
        }
      }
      return [];
    });
  }

  /** Content of a dictionary that a held block uses; `undefined` where it is not here. */
  dictionary(hash: string): Promise<Uint8Array | undefined> {
    return this.#queue.run(async () => {
      const numbers = this.#index.segments
        .filter(({ facts }) => facts.dictionaries.includes(hash))
        .map(({ facts }) => facts.number);
      for (const number of numbers) {
        try {
          const value = await (await this.#shelf.stores.reader(number)).get(dictionaryKey(hash));
          const content = value === undefined ? undefined : decodeDictionaryRecord(value);
          if (content !== undefined && isContentOf(hash, content)) return content;
        } catch (error) {
          await this.#doesNotRead(number, error);
        }
      }
      return undefined;
    });
  }

  /** Nobody needs these numbers any more. What the disk does not delete now goes at the next start. */
  forget(streamId: string, ranges: readonly SequenceRange[]): void {
    if (this.#index.held(streamId).length === 0) return;
    this.#index.forget(streamId, ranges);
    // Looked for when it is due: what is written meanwhile may go to one of them.
    if (this.#index.useless.length > 0) void this.#queue.run(() => this.#drop(this.#index.useless));
  }

  /** Gives way to what else needs the room. */
  async trim(): Promise<void> {
    const { boundBytes } = this.#options;
    if (this.diskBytes <= boundBytes() && this.#gaveUp.size === 0) return;
    await this.#queue.run(async () => {
      await this.#evictTo(boundBytes());
      // There is room for what had to go before: the owner may send it again.
      if (this.diskBytes < boundBytes() / 2) this.#gaveUp.clear();
    });
  }

  async close(): Promise<void> {
    await this.#queue.run(() => this.#shelf.close(() => this.#seal()));
  }

  #has({ header }: Block): boolean {
    return this.#index.has(header.streamId, { first: header.firstSequence, last: lastSequence(header) });
  }

  /** Writes what fits into one segment, in one synced batch. Returns how many blocks. */
  async #write(blocks: readonly ForeignBlock[]): Promise<number> {
    const { segmentBytes } = this.#options;
    const needed = sizeOf(blocks[0]);
    let segment = this.#open;
    const isFull = ({ facts }: MirrorSegment): boolean =>
      (facts.blocks > 0 && facts.bytes + needed > segmentBytes) || facts.runs.length >= FOREIGN_RUNS_MAX;
    if (segment === null || isFull(segment)) segment = await this.#startSegment(needed);
    const batch = [];
    let count = 0;
    for (const each of blocks) {
      if (count > 0 && segment.facts.bytes + sizeOf(each) > segmentBytes) break;
      const next = withForeign(segment, each);
      batch.push(...next.writes);
      segment = next.segment;
      count += 1;
    }
    await (await this.#shelf.stores.writer(segment.facts.number)).batch(batch, { sync: true });
    this.#open = segment;
    for (const { block } of blocks.slice(0, count)) {
      const { header } = block;
      const range = { first: header.firstSequence, last: lastSequence(header) };
      this.#index.grown(segment, header.streamId, range);
    }
    return count;
  }

  async #startSegment(neededBytes: number): Promise<MirrorSegment> {
    const { boundBytes, segmentBytes } = this.#options;
    await this.#seal();
    const leftBytes = boundBytes() - Math.max(segmentBytes, neededBytes);
    await this.#evictTo(Math.max(0, leftBytes));
    if (leftBytes < 0)
      throw new KomError('KOM_STORE_WRITE', 'the mirror', { got: 'own data needs the room' });
    return emptyMirrorSegment(this.#shelf.takeNumber());
  }

  async #seal(): Promise<void> {
    const open = this.#open;
    if (open === null) return;
    const sealed = await this.#shelf.seal(open.facts.number, open);
    this.#index.replaced(sealed);
    this.#open = null;
  }

  async #evictTo(bytesMax: number): Promise<void> {
    for (let oldest = this.#index.oldest; oldest !== undefined; oldest = this.#index.oldest) {
      if (this.#index.bytes <= bytesMax && this.#index.segments.length < SEGMENTS_MAX) return;
      await this.#drop([oldest.facts.number]);
    }
  }

  /** Silently: a mirror that holds less is less of a help, and no loss. */
  async #drop(numbers: readonly number[]): Promise<void> {
    const { log } = this.#options;
    for (const number of numbers) {
      if (this.#open?.facts.number === number) this.#open = null;
      for (const [streamId, last] of this.#index.dropped(number)) {
        this.#gaveUp.set(streamId, Math.max(last, this.gaveUpThrough(streamId)));
      }
      try {
        await this.#shelf.drop(number);
      } catch (error) {
        log.warn({ number, error: describeError(error) }, 'a mirrored segment could not be deleted');
      }
    }
  }

  async #blocksOf(
    store: Store,
    place: PlacedRun,
    { range, limitBytes }: { readonly range: SequenceRange; readonly limitBytes: number },
  ): Promise<Block[]> {
    const { run } = place;
    const blocks: Block[] = [];
    let bytes = 0;
    let position = await this.#seek(store, place, range.first);
    while (position <= run.lastPosition && bytes < limitBytes) {
      const bounds = { gte: positionKey(position), lte: positionKey(run.lastPosition) };
      const records = await store.read({ ...bounds, limitBytes: Math.min(READ_BYTES, limitBytes - bytes) });
      if (records.length === 0) break;
      for (const { key, value } of records) {
        position = (positionOf(key) ?? position) + 1;
        const block = decodeBlockRecord(value);
        if (block === undefined || lastSequence(block.header) < range.first) continue;
        if (block.header.firstSequence > range.last) return this.#given(run, range, blocks);
        blocks.push(block);
        bytes += block.bytes.length;
        this.#hint = { place, position, sequence: lastSequence(block.header) + 1 };
      }
    }
    return this.#given(run, range, blocks);
  }

  /** What a damaged block had in front of the first one that reads is not held any more. */
  #given(run: Run, range: SequenceRange, blocks: Block[]): Block[] {
    const lastOfRun = run.ranges.at(-1)?.last ?? range.last;
    const firstOfRun = run.ranges[0]?.first ?? range.first;
    const first = Math.max(range.first, firstOfRun);
    const last = (blocks[0]?.header.firstSequence ?? Math.min(range.last, lastOfRun) + 1) - 1;
    if (last >= first) this.forget(run.streamId, [{ first, last }]);
    return blocks;
  }

  /** Position of the first block of a run that may have a number; numbers ascend with the positions. */
  async #seek(store: Store, { number, run }: PlacedRun, sequence: number): Promise<number> {
    const hint = this.#hint;
    const isSegment = hint?.place.number === number;
    const isRun = isSegment && hint.place.run.firstPosition === run.firstPosition;
    if (isRun && hint.sequence === sequence && hint.position <= run.lastPosition) return hint.position;
    let [low, high] = [run.firstPosition, run.lastPosition];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const value = await store.get(positionKey(middle));
      const block = value === undefined ? undefined : decodeBlockRecord(value);
      // Beside a damaged block nothing can be skipped.
      if (block === undefined) return low;
      if (lastSequence(block.header) < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  async #doesNotRead(number: number, error: unknown): Promise<void> {
    if (await this.#shelf.isBeyondRepair(number, error)) await this.#drop([number]);
  }

  /** Open, now if need be. @throws KomError KOM_STORE_WRITE */
  async #recovered(): Promise<void> {
    const loaded = new Set(this.#index.segments.map(({ facts }) => facts.number));
    const found = await this.#shelf.recovered((number) => loaded.has(number));
    if (found === null) return;
    for (const segment of found.values()) this.#index.load(segment);
    // Nearly full: what is older had to go before, and would push out what is newer.
    const older = this.diskBytes < this.#options.boundBytes() / 2 ? [] : this.#index.beforeHeld;
    for (const [streamId, last] of older) this.#gaveUp.set(streamId, last);
  }

  async #failed(error: unknown): Promise<unknown> {
    const open = this.#open;
    this.#open = null;
    // What is in the open one is read anew: a batch that failed may be there all the same.
    if (open !== null && isKomError(error)) this.#index.dropped(open.facts.number);
    return await this.#shelf.failed(error);
  }
}

function sizeOf(each: ForeignBlock | undefined): number {
  return each === undefined ? 0 : each.block.bytes.length + RECORD_OVERHEAD_BYTES;
}
