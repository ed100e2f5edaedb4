import { type Block, lastSequence } from '../domain/block/block.ts';
import { readBlock } from '../domain/block/codec.ts';
import { joinTouching, type SequenceRange } from '../domain/coverage.ts';
import type { EncodedDictionary } from '../domain/dictionary.ts';
import { invariant } from '../domain/errors.ts';
import type { StoreWrite } from '../world/store.ts';
import { nextPlace, type RingCore, withGaps } from './core.ts';
import type { MetaState } from './meta.ts';
import type { Reblocker } from './reblocker.ts';
import { copyOf } from './reblocking.ts';
import {
  dictionaryKey,
  encodeBlockRecord,
  encodeDictionaryRecord,
  positionKey,
  RECORD_OVERHEAD_BYTES,
} from './record.ts';
import type { AppendResult } from './ring.ts';
import {
  emptySegment,
  gapsOfRanges,
  isAcknowledged,
  type SegmentFacts,
  segmentName,
  withBlock,
  withDictionary,
} from './segment.ts';

/** Dictionaries of this run that are kept at hand; a configuration change makes one more. */
export const DICTIONARIES_MAX = 8;

interface SegmentStart {
  /** The block that it must take at least. */
  readonly blockBytes: number;
  /** Before the open one is full. */
  readonly isAhead: boolean;
}

/** Puts blocks into the open segment, and makes room for the next one. */
export class Appender {
  readonly #core: RingCore;
  readonly #reblocker: Reblocker;
  readonly #dictionaries = new Map<string, { readonly bytes: Uint8Array; readonly record: Uint8Array }>();

  constructor(core: RingCore, reblocker: Reblocker) {
    this.#core = core;
    this.#reblocker = reblocker;
  }

  putDictionary({ hash, bytes }: EncodedDictionary): void {
    this.#dictionaries.delete(hash);
    this.#dictionaries.set(hash, { bytes, record: encodeDictionaryRecord(bytes) });
    const oldest = this.#dictionaries.keys().next();
    if (this.#dictionaries.size > DICTIONARIES_MAX && !oldest.done) this.#dictionaries.delete(oldest.value);
  }

  dictionary(hash: string): Uint8Array | undefined {
    return this.#dictionaries.get(hash)?.bytes;
  }

  /** See `Ring.append`. */
  async append(blocks: readonly Block[]): Promise<AppendResult> {
    const core = this.#core;
    const stored: SequenceRange[] = [];
    const refused: SequenceRange[] = [];
    const fresh: Block[] = [];
    for (const block of blocks) {
      this.#check(block);
      const range = rangeOf(block);
      if (range.first > core.current.durableThrough) fresh.push(block);
      else if (this.#wasRefused(range)) refused.push(range);
      else stored.push(range);
    }
    while (fresh.length > 0) {
      const taken = fresh.splice(0, this.#fitting(fresh));
      if (taken.length > 0) {
        await this.#store(taken);
        stored.push(...taken.map(rangeOf));
      } else if (!(await this.startSegment({ blockBytes: sizeOf(fresh[0]), isAhead: false }))) {
        refused.push(...(await this.#refuse(fresh.splice(0))));
      }
    }
    return { stored: joinTouching(stored), refused: joinTouching(refused) };
  }

  #check(block: Block): void {
    const { current } = this.#core;
    const { header } = readBlock(block.bytes);
    invariant(header.streamId === current.info.streamId, 'blocks of the current stream are appended');
    invariant(header.firstSequence === block.header.firstSequence, 'a block says what its bytes say');
    const isBefore = lastSequence(header) <= current.durableThrough;
    invariant(isBefore || header.firstSequence > current.durableThrough, 'blocks are not cut anew');
  }

  #wasRefused(range: SequenceRange): boolean {
    return this.#core.gaps.some(
      (gap) =>
        gap.reason === 'refused' &&
        gap.streamId === this.#core.current.info.streamId &&
        gap.firstSequence <= range.first &&
        gap.lastSequence >= range.last,
    );
  }

  /** How many of the blocks the open segment takes; an empty segment takes at least one, of whatever size. */
  #fitting(blocks: readonly Block[]): number {
    const { open, setup } = this.#core;
    if (open === null) return 0;
    let bytes = open.bytes;
    let count = 0;
    for (const block of blocks) {
      bytes += sizeOf(block);
      if (bytes > setup.segmentBytes && (open.blocks > 0 || count > 0)) break;
      count += 1;
    }
    return count;
  }

  async #store(blocks: readonly Block[]): Promise<void> {
    const core = this.#core;
    invariant(core.open !== null, 'blocks go into the open segment');
    let facts: SegmentFacts = core.open;
    const writes: StoreWrite[] = [];
    for (const block of blocks) {
      const hash = block.header.dictionaryHash;
      const dictionary = facts.dictionaries.includes(hash) ? undefined : this.#dictionaries.get(hash);
      if (dictionary !== undefined) {
        writes.push({ type: 'put', key: dictionaryKey(hash), value: dictionary.record });
        facts = withDictionary(facts, hash, dictionary.record.length);
      }
      facts = withBlock(facts, block);
      writes.push({ type: 'put', key: positionKey(facts.lastPosition), value: encodeBlockRecord(block) });
    }
    const store = await core.setup.stores.writer(facts.number);
    await core.setup.syncTimes.measure(writes, () => store.batch(writes, { sync: true }));
    core.stored(facts);
    for (const { header } of blocks) core.times.note(header);
  }

  async #refuse(blocks: readonly Block[]): Promise<SequenceRange[]> {
    const core = this.#core;
    const ranges = joinTouching(blocks.map(rangeOf));
    const { streamId } = core.current.info;
    const fromUs = Math.min(...blocks.map((block) => block.header.fromUs));
    const toUs = Math.max(...blocks.map((block) => block.header.toUs));
    const durableThrough = ranges.at(-1)?.last ?? core.current.durableThrough;
    const ordinal = core.current.ordinal;
    const nextSequence = Math.max(core.current.nextSequence, durableThrough + 1);
    await core.commit((state) => {
      const streams = state.streams.map((each) =>
        each.ordinal === ordinal ? { ...each, durableThrough, nextSequence } : each,
      );
      return withGaps({ ...state, streams }, gapsOfRanges({ streamId, fromUs, toUs }, ranges, 'refused'));
    });
    return ranges;
  }

  /**
   * Seals the open segment, drops what must go, and opens a new one; false: there is no room. `isAhead`: the
   * directories of what goes are left for the next `sweep`. Call within `writing`.
   */
  async startSegment({ blockBytes, isAhead }: SegmentStart): Promise<boolean> {
    const core = this.#core;
    const { disk, stores } = core.setup;
    await core.sweep();
    const sealing = core.open;
    const sealed: SegmentFacts | null = sealing && {
      ...sealing,
      state: 'sealed',
      bytes: Math.max(sealing.bytes, await disk.usedBytes(segmentName(sealing.number))),
    };
    const present = core.segments.map((each) => (each.number === sealed?.number ? sealed : each));
    const victims = await this.#victims(present, blockBytes);
    if (victims === null) return false;
    const isKept = sealed !== null && !victims.includes(sealed) && (await this.#reblocker.keeps(sealed));
    if (!isKept) await stores.closeUsed();
    const seal = (state: MetaState): MetaState => {
      const { nextNumber, nextPosition } = nextPlace(state);
      const segments = state.segments.flatMap((each) => {
        if (each.number !== sealed?.number) return [each];
        return isKept ? [sealed, copyOf(sealed)] : [sealed];
      });
      return { ...state, segments: [...segments, emptySegment(nextNumber, nextPosition)] };
    };
    await core.retire(victims, seal);
    if (isKept) this.#reblocker.start(sealed);
    if (!isAhead) await core.sweep();
    return true;
  }

  /** What must go for a new segment; `null`: there is not enough that may go. */
  async #victims(present: readonly SegmentFacts[], blockBytes: number): Promise<SegmentFacts[] | null> {
    const core = this.#core;
    const { disk, options, quarantine, segmentBytes } = core.setup;
    const neededBytes = Math.max(segmentBytes, blockBytes);
    const isAcked = (segment: SegmentFacts) => isAcknowledged(segment, core.ackedThrough);
    const victims = options.policy === 'on-outage' ? present.filter(isAcked) : [];
    const left = present.filter((segment) => !victims.includes(segment));
    const isLow = (await disk.freeBytes()) < options.freeDiskFloorBytes + neededBytes;
    const besideBytes = core.doomedBytes + quarantine.bytes + neededBytes;
    let bytes = left.reduce((sum, segment) => sum + segment.bytes, besideBytes);
    const { historyBytesMax = options.capacityBytes } = options;
    const isOver = (): boolean =>
      bytes > options.capacityBytes ||
      (isLow && victims.length === 0) ||
      (bytes > historyBytesMax && left.some(isAcked));
    while (isOver()) {
      const victim = left.find(isAcked) ?? (options.whenFull === 'drop-oldest' ? left[0] : undefined);
      if (victim === undefined) return null;
      left.splice(left.indexOf(victim), 1);
      victims.push(victim);
      bytes -= victim.bytes;
    }
    return victims;
  }
}

function rangeOf(block: Block): SequenceRange {
  return { first: block.header.firstSequence, last: lastSequence(block.header) };
}

function sizeOf(block: Block | undefined): number {
  return block === undefined ? 0 : block.bytes.length + RECORD_OVERHEAD_BYTES;
}
