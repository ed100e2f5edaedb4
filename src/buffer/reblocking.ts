import type { SequenceGap } from '../domain/gap.ts';
import { JOINED_BLOCK_SAMPLES_MAX, JOINED_SHARE_MAX } from '../domain/segment-size.ts';
import type { StoreRecord, StoreWrite } from '../world/store.ts';
import { Joiner } from './joiner.ts';
import type { MetaState } from './meta.ts';
import {
  decodeBlockRecord,
  dictionaryHashOf,
  encodeBlockRecord,
  positionKey,
  positionOf,
  RECORD_OVERHEAD_BYTES,
} from './record.ts';
import type { RingBlock } from './ring.ts';
import { emptySegment, firstOf, lastOf, RANGES_MAX, type SegmentFacts } from './segment.ts';

/** Fewer blocks are not worth another directory. */
const BLOCKS_MIN = 8;
/** Losses in one segment; with more of them it stays as it is. */
const GAPS_MAX = 256;

/** What the ring's state tells of declared losses. */
type Losses = Pick<MetaState, 'gaps' | 'told'>;

/** The segment that a sealed one becomes. Before it takes its place it is listed as one to be deleted. */
export function copyOf(sealed: SegmentFacts): SegmentFacts {
  return { ...emptySegment(sealed.number + 1, sealed.firstPosition), state: 'doomed' };
}

/** A segment, or what it became; `null`: it is gone. */
export function presentForm(segments: readonly SegmentFacts[], number: number): SegmentFacts | null {
  const itself = segments.find((each) => each.number === number);
  // Nothing else ever gets the number behind that of a segment.
  return itself ?? segments.find((each) => each.number === number + 1) ?? null;
}

/** Whether it may be worth it to join the blocks of a segment, by its facts. */
export function isSmallBlocked({ blocks, samples, runs }: SegmentFacts): boolean {
  // A hole that was counted as held looks like a loss where no block stands at its position.
  const isExact = runs.every(({ ranges }) => ranges.length < RANGES_MAX);
  return blocks >= BLOCKS_MIN && samples <= JOINED_BLOCK_SAMPLES_MAX * blocks && isExact;
}

/**
 * One sealed segment on its way to a copy with joined blocks: what was read of it, and what is to be written.
 * It is given all records of the segment in order. Memory: `pendingBytes`, and one block that is not full.
 */
export class Reblocking {
  /** Numbers of the two segments. */
  readonly source: number;
  readonly target: number;
  /** The next record is behind this key. */
  after: Uint8Array = positionKey(0);
  readonly #facts: SegmentFacts;
  readonly #gaps: readonly SequenceGap[];
  readonly #joiner = new Joiner();
  readonly #dictionaries = new Set<string>();
  #pending: StoreWrite[] = [];
  #pendingBytes = 0;
  /** As the ring counts them, see `SegmentFacts.bytes`. */
  #readBytes = 0;
  #madeBytes = 0;
  #read = { blocks: 0, samples: 0, lastPosition: 0 };
  #made = 0;
  #isUnreadable = false;

  constructor(sealed: SegmentFacts, losses: Losses) {
    this.source = sealed.number;
    this.target = copyOf(sealed).number;
    this.#facts = sealed;
    this.#gaps = within(sealed, losses);
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** What was made so far is so much smaller than what it was made of that it pays. */
  get isWorthwhile(): boolean {
    return this.#madeBytes <= JOINED_SHARE_MAX * this.#readBytes && this.#gaps.length <= GAPS_MAX;
  }

  /** Takes the next records of the segment. */
  take(records: readonly StoreRecord[]): void {
    for (const { key, value } of records) {
      this.after = key;
      this.#readBytes += value.length + RECORD_OVERHEAD_BYTES;
      const position = positionOf(key);
      if (position === undefined) this.#takeOther(key, value);
      else this.#takeBlock(position, value);
    }
  }

  /** There are no more records: what is left is to be written. */
  finish(): void {
    for (const made of this.#joiner.flush()) this.#put(made);
  }

  /** What is to be written next. */
  takePending(): StoreWrite[] {
    const pending = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    return pending;
  }

  /**
   * Facts of the copy when everything is in it; `null` where something was not there, or the segment or its
   * losses are not what they were. `usedBytes`: what the copy takes on disk.
   */
  result(state: MetaState, usedBytes: number): SegmentFacts | null {
    const { blocks, samples, lastPosition, dictionaries } = this.#facts;
    const read = this.#read;
    const isWhole =
      !this.#isUnreadable &&
      read.blocks === blocks &&
      read.samples === samples &&
      read.lastPosition === lastPosition &&
      dictionaries.every((hash) => this.#dictionaries.has(hash));
    const before = new Set(this.#gaps.map(keyOf));
    const isSame =
      state.segments.includes(this.#facts) &&
      within(this.#facts, state).every((gap) => before.has(keyOf(gap)));
    if (!isWhole || !isSame) return null;
    const bytes = Math.max(usedBytes, this.#madeBytes);
    return { ...this.#facts, number: this.target, blocks: this.#made, bytes };
  }

  #takeBlock(position: number, value: Uint8Array): void {
    const block = decodeBlockRecord(value);
    this.#isUnreadable ||= block === undefined;
    if (block === undefined) return;
    const { streamId, firstSequence, count } = block.header;
    this.#read = {
      blocks: this.#read.blocks + 1,
      samples: this.#read.samples + count,
      lastPosition: position,
    };
    // What a Kernel refused, or nobody wants, must not take others with it.
    const isAlone = this.#gaps.some(
      (gap) =>
        gap.streamId === streamId &&
        gap.lastSequence >= firstSequence &&
        gap.firstSequence < firstSequence + count,
    );
    for (const made of this.#joiner.add({ position, block }, isAlone)) this.#put(made);
  }

  #takeOther(key: Uint8Array, value: Uint8Array): void {
    const hash = dictionaryHashOf(key);
    if (hash !== undefined) this.#dictionaries.add(hash);
    this.#write(key, value);
  }

  #put({ position, block }: RingBlock): void {
    this.#made += 1;
    this.#write(positionKey(position), encodeBlockRecord(block));
  }

  #write(key: Uint8Array, value: Uint8Array): void {
    this.#pending.push({ type: 'put', key, value });
    this.#pendingBytes += value.length;
    this.#madeBytes += value.length + RECORD_OVERHEAD_BYTES;
  }
}

function keyOf({ streamId, firstSequence, lastSequence, reason }: SequenceGap): string {
  return `${streamId}/${firstSequence}/${lastSequence}/${reason}`;
}

/** Losses that were declared of numbers in a segment. */
function within({ runs }: SegmentFacts, { gaps, told }: Losses): SequenceGap[] {
  return [...told, ...gaps].filter(({ streamId, firstSequence, lastSequence }) =>
    runs.some(
      (run) => run.streamId === streamId && lastSequence >= firstOf(run) && firstSequence <= lastOf(run),
    ),
  );
}
