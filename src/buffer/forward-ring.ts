import { type Block, lastSequence } from '../domain/block/block.ts';
import type { SequenceRange } from '../domain/coverage.ts';
import { isKomError } from '../domain/errors.ts';
import { RangeSet } from '../domain/range-set.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Disk } from '../world/store.ts';
import {
  blocksIn,
  emptyForwardSegment,
  type ForwardedBlock,
  type ForwardSegment,
  forwardedBytes,
  heldOf,
  scanForwardSegment,
  sealedForwardSegment,
  withForwarded,
} from './forward-segment.ts';
import { SegmentShelf } from './segment-shelf.ts';
import { SerialQueue } from './serial-queue.ts';

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
  readonly #shelf: SegmentShelf<ForwardSegment>;
  readonly #queue = new SerialQueue();
  /** In the order in which they were written. */
  readonly #segments = new Map<number, ForwardSegment>();
  readonly #held = new Map<string, RangeSet>();
  #writing: number | null = null;

  private constructor(options: ForwardRingOptions) {
    this.#options = options;
    this.#shelf = new SegmentShelf({
      ...options,
      name: 'the forwarding ring',
      scan: scanForwardSegment,
      sealed: sealedForwardSegment,
    });
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
    return this.#shelf.lastError;
  }

  /** What `read` gives, but for what turns out to be damaged; ascending. */
  held(streamId: string): readonly SequenceRange[] {
    return this.#held.get(streamId)?.ranges ?? [];
  }

  /** Makes blocks durable; what is held already is passed over. @throws KomError KOM_STORE_WRITE */
  append(blocks: readonly ForwardedBlock[]): Promise<void> {
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
  read(streamId: string, range: SequenceRange, limitBytes: number): Promise<ForwardedBlock[]> {
    return this.#queue.run(async () => {
      const place = this.#find(streamId, range);
      if (place === undefined) return [];
      const { segment, held } = place;
      try {
        const store = await this.#shelf.stores.reader(segment.number);
        const blocks = await blocksIn(store, { streamId, range: held, limitBytes });
        // What a damaged block had in front of the first one that reads is not held any more.
        const readFrom = blocks[0]?.header.firstSequence ?? held.last + 1;
        if (readFrom > held.first) this.#forget(segment, streamId, { first: held.first, last: readFrom - 1 });
        return blocks;
      } catch (error) {
        if (await this.#shelf.isBeyondRepair(segment.number, error)) {
          await this.#drop(segment.number).catch((dropping: unknown) => {
            if (!isKomError(dropping)) throw dropping;
          });
        }
        return [];
      }
    });
  }

  async close(): Promise<void> {
    await this.#queue.run(() => this.#shelf.close(() => this.#seal()));
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
  async #write(blocks: readonly ForwardedBlock[]): Promise<number> {
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
    const store = await this.#shelf.stores.writer(segment.number);
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
    const segment = emptyForwardSegment(this.#shelf.takeNumber());
    this.#segments.set(segment.number, segment);
    this.#writing = segment.number;
    return segment;
  }

  async #seal(): Promise<void> {
    const segment = this.#writing === null ? undefined : this.#segments.get(this.#writing);
    this.#writing = null;
    if (segment === undefined) return;
    this.#segments.set(segment.number, await this.#shelf.seal(segment.number, segment));
  }

  async #drop(number: number): Promise<void> {
    const segment = this.#segments.get(number);
    this.#segments.delete(number);
    for (const streamId of Object.keys(segment?.held ?? {})) this.#holdAnew(streamId);
    await this.#shelf.drop(number);
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

  /** Open, now if need be. @throws KomError KOM_STORE_WRITE */
  async #recovered(): Promise<void> {
    const found = await this.#shelf.recovered(() => false);
    if (found === null) return;
    this.#segments.clear();
    for (const [number, segment] of found) this.#segments.set(number, segment);
    this.#held.clear();
    const streams = new Set([...found.values()].flatMap(({ held }) => Object.keys(held)));
    for (const streamId of streams) this.#holdAnew(streamId);
  }

  async #failed(error: unknown): Promise<unknown> {
    this.#writing = null;
    return await this.#shelf.failed(error);
  }
}
