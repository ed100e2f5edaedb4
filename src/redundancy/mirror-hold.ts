import type { ForeignBlock } from '../buffer/mirror-segment.ts';
import type { MirrorStore } from '../buffer/mirror-store.ts';
import type { MirroredStream } from '../buffer/mirrored-stream.ts';
import { type Block, lastSequence } from '../domain/block/block.ts';
import { countOf, type SequenceRange } from '../domain/coverage.ts';
import { isKomError } from '../domain/errors.ts';
import { RangeSet } from '../domain/range-set.ts';
import { FIRST_SEQUENCE } from '../domain/stream.ts';
import type { StreamCoverage } from '../uplink/messages.ts';
import type { Clock } from '../world/clock.ts';
import { MirrorDictionaries } from './mirror-dictionaries.ts';

/** Bytes in one write to the disk. */
const WRITE_BYTES_MAX = 2 * 1024 * 1024;
/** Pause after the disk refused one. */
const RETRY_MS = 1000;

export interface MirrorHoldOptions {
  readonly main: MirrorStore;
  /** Blocks whose tags are all alarms have a place of their own, where they have one with their owner. */
  readonly alarms: MirrorStore | null;
  /** Bound of the blocks in memory. */
  readonly memoryBytes: number;
  /** Everything is written at once, not only what its owner wrote. */
  readonly writesAll: boolean;
  readonly clock: Clock;
}

/** A stream of which blocks are held, or were. */
export interface HeldMirror {
  readonly stream: MirroredStream;
  /** What can be given. */
  readonly held: readonly SequenceRange[];
  /** Up to here nothing more is wanted: there was no room for it. */
  readonly gaveUpThrough: number;
  /** Oldest source time in memory, or the start of the stream, integer µs; 0 if nothing is held. */
  readonly heldFromUs: number;
}

interface InMemory {
  readonly block: Block;
  isDue: boolean;
}

/**
 * What an instance holds of the other one: in memory, and in the mirror stores what is worth a write. What
 * it says it holds is what it can give. It declares nothing: at its bounds the oldest goes silently.
 */
export class MirrorHold {
  readonly dictionaries = new MirrorDictionaries();
  readonly #options: MirrorHoldOptions;
  readonly #told = new Map<string, MirroredStream>();
  /** In the order in which they came. */
  #memory: InMemory[] = [];
  #bytes = 0;
  readonly #gaveUp = new Map<string, number>();
  #writing: Promise<void> | null = null;
  #failedMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;
  #more: { promise: Promise<void>; resolve: () => void } = Promise.withResolvers<void>();

  constructor(options: MirrorHoldOptions) {
    this.#options = options;
  }

  /** Bytes in memory. */
  get memoryBytes(): number {
    return this.#bytes;
  }

  get diskBytes(): number {
    return this.#stores.reduce((sum, { diskBytes }) => sum + diskBytes, 0);
  }

  get heldSamples(): number {
    return this.streams().reduce((sum, { held }) => sum + countOf(held), 0);
  }

  /** Resolves when there may be something new to give. */
  more(): Promise<void> {
    return this.#more.promise;
  }

  /** The streams that their owner told of, and others of which something is held. */
  streams(): HeldMirror[] {
    const streams = new Map(this.#told);
    for (const stream of this.#stores.flatMap((store) => store.streams)) {
      if (!streams.has(stream.info.streamId)) streams.set(stream.info.streamId, stream);
    }
    return [...streams.values()].map((stream) => {
      const { streamId, startedAtUs } = stream.info;
      const held = this.held(streamId);
      const oldest = this.#memory.find(({ block }) => block.header.streamId === streamId);
      const heldFromUs = held.length === 0 ? 0 : (oldest?.block.header.fromUs ?? startedAtUs);
      return { stream, held, gaveUpThrough: this.#gaveUpThrough(streamId), heldFromUs };
    });
  }

  knows(streamId: string): boolean {
    return this.#told.has(streamId);
  }

  held(streamId: string): readonly SequenceRange[] {
    const inMemory = this.#memory
      .filter(({ block }) => block.header.streamId === streamId)
      .map(({ block }) => rangeOf(block));
    const onDisk = this.#stores.flatMap((store) => store.held(streamId));
    return new RangeSet([...onDisk, ...inMemory]).ranges;
  }

  /** What their owner says of its streams. What is in memory of one that it forgot stays as it was told. */
  tell(streams: readonly MirroredStream[]): void {
    const inMemory = new Set(this.#memory.map(({ block }) => block.header.streamId));
    for (const streamId of [...this.#told.keys()]) if (!inMemory.has(streamId)) this.#told.delete(streamId);
    for (const stream of streams) this.#told.set(stream.info.streamId, stream);
  }

  /** Takes a block whose dictionary is known. */
  take(block: Block, isSpilled: boolean): void {
    const { memoryBytes, writesAll } = this.#options;
    const { streamId } = block.header;
    if (new RangeSet(this.held(streamId)).holds(rangeOf(block))) return;
    this.#memory.push({ block, isDue: writesAll || isSpilled });
    this.#bytes += block.bytes.length;
    if (this.#bytes > memoryBytes / 2) this.writeAll();
    while (this.#bytes > memoryBytes) this.#dropOldest();
    this.#writeSoon();
    this.#signalMore();
  }

  /** The owner has its blocks up to here on its disk. */
  spilled(streamId: string, throughSequence: number): void {
    for (const each of this.#memory) {
      const { header } = each.block;
      if (header.streamId === streamId && lastSequence(header) <= throughSequence) each.isDue = true;
    }
    this.#writeSoon();
  }

  /** The owner is silent: what is here may be all that is left. */
  writeAll(): void {
    for (const each of this.#memory) each.isDue = true;
    this.#writeSoon();
  }

  /** A Kernel has these. */
  forget(coverage: readonly StreamCoverage[]): void {
    for (const { streamId, throughSequence, held } of coverage) {
      const first = { first: FIRST_SEQUENCE, last: throughSequence };
      const ranges = throughSequence < FIRST_SEQUENCE ? held : [first, ...held];
      this.drop(streamId, ranges);
    }
  }

  /** Nobody needs these. */
  drop(streamId: string, ranges: readonly SequenceRange[]): void {
    if (ranges.length === 0) return;
    const set = new RangeSet(ranges);
    this.#memory = this.#memory.filter(
      ({ block }) => block.header.streamId !== streamId || !set.holds(rangeOf(block)),
    );
    this.#bytes = this.#memory.reduce((sum, { block }) => sum + block.bytes.length, 0);
    for (const store of this.#stores) store.forget(streamId, ranges);
  }

  /** Blocks that have numbers of a range, the first ones, about so many bytes. */
  async read(streamId: string, range: SequenceRange, limitBytes: number): Promise<Block[]> {
    const first = this.#lowest(streamId, range);
    if (first === null) return [];
    const found: Block[] = [];
    let bytes = 0;
    let next = first;
    const ofStream = this.#memory
      .filter(({ block }) => block.header.streamId === streamId)
      .toSorted((one, other) => one.block.header.firstSequence - other.block.header.firstSequence);
    for (const { block } of ofStream) {
      const { first: from, last } = rangeOf(block);
      if (last < next || from > range.last) continue;
      if (from > next || bytes >= limitBytes) break;
      found.push(block);
      bytes += block.bytes.length;
      next = last + 1;
    }
    if (found.length > 0) return found;
    const store = this.#stores.find((each) => each.held(streamId).some((part) => contains(part, first)));
    return (await store?.read(streamId, { first, last: range.last }, limitBytes)) ?? [];
  }

  async dictionary(hash: string): Promise<Uint8Array | undefined> {
    const known = this.dictionaries.bytesOf(hash);
    if (known !== undefined) return known;
    for (const store of this.#stores) {
      const content = await store.dictionary(hash);
      if (content !== undefined) return content;
    }
    return undefined;
  }

  /** Gives way to own data, and tries again what the disk did not take. */
  async tend(): Promise<void> {
    for (const store of this.#stores) await store.trim();
    const { clock, memoryBytes } = this.#options;
    if (this.#bytes < memoryBytes / 2) this.#gaveUp.clear();
    if (clock.monotonicMs() - this.#failedMs >= RETRY_MS) this.#writeSoon();
  }

  /** Writes what is in memory, as far as the disk takes it. */
  async close(): Promise<void> {
    this.writeAll();
    while (this.#writing !== null) await this.#writing;
    this.#isClosed = true;
    for (const store of this.#stores) await store.close();
    this.#signalMore();
  }

  get #stores(): readonly MirrorStore[] {
    const { main, alarms } = this.#options;
    return alarms === null ? [main] : [alarms, main];
  }

  #gaveUpThrough(streamId: string): number {
    const stores = this.#stores.map((store) => store.gaveUpThrough(streamId));
    return Math.max(this.#gaveUp.get(streamId) ?? 0, ...stores);
  }

  /** The first number of a range that is held. */
  #lowest(streamId: string, range: SequenceRange): number | null {
    const held = this.held(streamId);
    const part = held.find(({ first, last }) => first <= range.last && last >= range.first);
    return part === undefined ? null : Math.max(part.first, range.first);
  }

  #dropOldest(): void {
    // An alarm stays as long as there is anything else.
    const isOther = ({ block }: InMemory): boolean =>
      !this.dictionaries.isOfAlarms(block.header.dictionaryHash);
    const at = Math.max(0, this.#memory.findIndex(isOther));
    const [dropped] = this.#memory.splice(at, 1);
    if (dropped === undefined) return;
    this.#bytes -= dropped.block.bytes.length;
    const { header } = dropped.block;
    this.#gaveUp.set(header.streamId, Math.max(lastSequence(header), this.#gaveUp.get(header.streamId) ?? 0));
  }

  #writeSoon(): void {
    if (this.#writing !== null || this.#isClosed) return;
    if (!this.#memory.some(({ isDue }) => isDue)) return;
    this.#writing = this.#write().finally(() => {
      this.#writing = null;
      // Only what came meanwhile: what the disk refuses waits for `tend`.
      if (this.#options.clock.monotonicMs() - this.#failedMs >= RETRY_MS) this.#writeSoon();
    });
  }

  async #write(): Promise<void> {
    const due = this.#due();
    const { main, alarms, clock } = this.#options;
    const isAlarm = ({ block }: ForeignBlock): boolean =>
      this.dictionaries.isOfAlarms(block.header.dictionaryHash);
    const apart = alarms === null ? [] : due.filter(isAlarm);
    const rest = due.filter((each) => !apart.includes(each));
    for (const [store, blocks] of [
      [alarms ?? main, apart],
      [main, rest],
    ] as const) {
      if (blocks.length === 0) continue;
      try {
        await store.append(blocks);
      } catch (error) {
        // The store says why in the log; the blocks stay in memory while there is room.
        if (!isKomError(error)) throw error;
        this.#failedMs = clock.monotonicMs();
        continue;
      }
      const written = new Set(blocks.map(({ block }) => block));
      this.#memory = this.#memory.filter(({ block }) => !written.has(block));
      this.#bytes = this.#memory.reduce((sum, { block }) => sum + block.bytes.length, 0);
    }
  }

  #due(): ForeignBlock[] {
    const due: ForeignBlock[] = [];
    let bytes = 0;
    for (const { block, isDue } of this.#memory) {
      if (!isDue) continue;
      if (bytes >= WRITE_BYTES_MAX) break;
      const stream = this.#told.get(block.header.streamId);
      const { dictionaryHash: hash } = block.header;
      const content = this.dictionaries.bytesOf(hash);
      if (stream === undefined || content === undefined) continue;
      due.push({ block, dictionary: { hash, bytes: content }, stream });
      bytes += block.bytes.length;
    }
    return due;
  }

  #signalMore(): void {
    this.#more.resolve();
    this.#more = Promise.withResolvers<void>();
  }
}

function rangeOf({ header }: Block): SequenceRange {
  return { first: header.firstSequence, last: lastSequence(header) };
}

function contains(range: SequenceRange, sequence: number): boolean {
  return range.first <= sequence && sequence <= range.last;
}
