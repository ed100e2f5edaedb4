import type { Block } from '../domain/block/block.ts';
import { BlockBuilder } from '../domain/block/builder.ts';
import type { ClockFix } from '../domain/clock-fix.ts';
import {
  type BlockEntry,
  type Entry,
  isClockFix,
  isTimeGap,
  moveTimeGap,
  type Sample,
  type TimeGap,
} from '../domain/sample.ts';
import { FIRST_SEQUENCE } from '../domain/stream.ts';
import { NO_TERM, type Term } from '../domain/term.ts';
import type { Clock, Timer } from '../world/clock.ts';
import { SlowestOfHour } from './slowest.ts';

/** A block is sealed at this many entries or this size before compression, whatever its age. */
export const BLOCK_SEAL_ENTRIES = 16_384;
const BLOCK_SEAL_BODY_BYTES = 1024 * 1024;

export interface AssemblerOptions {
  readonly streamId: string;
  readonly dictionaryHash: string;
  readonly clock: Clock;
  /** A block is sealed at this age of its first entry. */
  readonly blockAgeMs: number;
  /** Takes each sealed block, in order, with the monotonic time of its first entry, milliseconds. */
  readonly seal: (block: Block, firstMs: number) => void;
  /** False: the window is full and nothing may be numbered. */
  readonly hasRoom: () => boolean;
  /** Sees each sample with its number, for the live lane. */
  readonly numbered: (sample: Sample, sequence: number) => void;
  /** Nothing vouches for the times of the first entries. Default: false. */
  readonly isClockUncertain?: boolean;
  /** The loss of an overload was declared: what was reported meanwhile must be reported again. */
  readonly overloadEnded: (fromUs: number) => void;
}

/** Time gaps that an overload keeps for its end; more of them only widen the gap of the overload itself. */
const OVERLOAD_GAPS_MAX = 100;

interface Overload {
  /** Wall times, the earliest and the latest. */
  fromUs: number;
  toUs: number;
  /** Samples refused. */
  count: number;
  /** Time gaps that came meanwhile: they tell of times outside of the overload, so they must not be lost. */
  readonly gaps: TimeGap[];
}

/**
 * Numbers entries and collects them into blocks. A sample exists for the promise from here on. While there
 * is no room nothing is numbered; that time comes out as one time gap `overload` with its count.
 */
export class Assembler {
  readonly #options: AssemblerOptions;
  readonly #builder = new BlockBuilder();
  #nextSequence = FIRST_SEQUENCE;
  #firstInBlock = FIRST_SEQUENCE;
  /** Monotonic time at which the first entry of the block came. */
  #firstMs = 0;
  readonly #stalls: SlowestOfHour;
  #sealTimer: Timer | null = null;
  #overload: Overload | null = null;
  #isClockUncertain: boolean;
  #term: Term = NO_TERM;

  constructor(options: AssemblerOptions) {
    this.#options = options;
    this.#isClockUncertain = options.isClockUncertain ?? false;
    this.#stalls = new SlowestOfHour(options.clock);
  }

  /** Age of the oldest entry that is in no sealed block yet, milliseconds; 0: there is none. */
  get unsealedForMs(): number {
    return this.#builder.count === 0 ? 0 : this.#options.clock.monotonicMs() - this.#firstMs;
  }

  /**
   * Of the last hour: how much older than its age a block was when it was sealed, milliseconds. The timer
   * goes off late while the process is held up, and making the block takes time as well.
   */
  get slowestStallMs(): number {
    return this.#stalls.slowestMs();
  }

  /** The number that the next entry gets. */
  get nextSequence(): number {
    return this.#nextSequence;
  }

  /** Entries that were refused because of the overload that goes on now. */
  get overloadCount(): number {
    return this.#overload?.count ?? 0;
  }

  /** Since when entries are refused, wall time in integer µs; `null`: they are not. */
  get overloadSinceUs(): number | null {
    return this.#overload === null ? null : earliestOf(this.#overload);
  }

  /** Numbers corrections of times. Call only while there is room: they are for the next time otherwise. */
  acceptFixes(fixes: readonly ClockFix[]): void {
    for (const fix of fixes) this.#number(fix);
  }

  /** What is numbered from now on is so under another term: the block ends here. */
  termChanged(term: Term): void {
    if (term === this.#term) return;
    this.flush();
    this.#term = term;
  }

  /** The clock was set by so much, µs: the block ends here, and times that are remembered go along. */
  clockChanged(byUs: number, isUncertain: boolean): void {
    this.flush();
    this.#isClockUncertain = isUncertain;
    if (this.#overload === null) return;
    const { fromUs, toUs, count, gaps } = this.#overload;
    const shifted = gaps.map((gap) => moveTimeGap(gap, byUs));
    this.#overload = { fromUs: fromUs + byUs, toUs: toUs + byUs, count, gaps: shifted };
  }

  /** Numbers the entries of one batch. */
  accept(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    if (!this.#options.hasRoom()) {
      const nowUs = this.#options.clock.wallUs();
      this.#overload ??= { fromUs: nowUs, toUs: nowUs, count: 0, gaps: [] };
      // The wall clock may be set meanwhile; the gap spans all that it showed.
      this.#overload.fromUs = Math.min(this.#overload.fromUs, nowUs);
      this.#overload.toUs = Math.max(this.#overload.toUs, nowUs);
      for (const entry of entries) refuse(this.#overload, entry);
      return;
    }
    if (this.#overload !== null) this.#declareOverload(this.#overload);
    for (const entry of entries) this.#number(entry);
  }

  /** Declares an overload that is over, for lines on which nothing new comes. */
  settleOverload(): void {
    if (this.#overload !== null && this.#options.hasRoom()) this.#declareOverload(this.#overload);
  }

  /** The last of this stream: an overload that goes on is declared, and everything sealed. */
  finish(): void {
    if (this.#overload !== null) this.#declareOverload(this.#overload);
    this.flush();
  }

  /** Seals what there is, so that nothing numbered is outside of a block. */
  flush(): void {
    this.#sealTimer?.cancel();
    this.#sealTimer = null;
    if (this.#builder.count === 0) return;
    const { streamId, dictionaryHash, clock, blockAgeMs } = this.#options;
    const block = this.#builder.seal({
      streamId,
      dictionaryHash,
      firstSequence: this.#firstInBlock,
      sealedMonotonicUs: Math.round(clock.monotonicMs() * 1000),
      ...(this.#isClockUncertain ? { isClockUncertain: true as const } : {}),
      term: this.#term,
    });
    this.#firstInBlock = this.#nextSequence;
    this.#stalls.note(clock.monotonicMs() - this.#firstMs - blockAgeMs);
    this.#options.seal(block, this.#firstMs);
  }

  #declareOverload(overload: Overload): void {
    this.#overload = null;
    const { fromUs, count, gaps } = overload;
    const toUs = Math.max(this.#options.clock.wallUs(), overload.toUs + 1);
    if (count > 0) this.#number({ station: null, tags: [], fromUs, toUs, reason: 'overload', count });
    for (const gap of gaps) this.#number(gap);
    this.#options.overloadEnded(earliestOf(overload));
  }

  #number(entry: BlockEntry): void {
    const sequence = this.#nextSequence++;
    if (this.#builder.count === 0) this.#firstMs = this.#options.clock.monotonicMs();
    this.#builder.add(entry);
    if (!isTimeGap(entry) && !isClockFix(entry)) this.#options.numbered(entry, sequence);
    if (this.#builder.count >= BLOCK_SEAL_ENTRIES || this.#builder.bodyBytesMax >= BLOCK_SEAL_BODY_BYTES) {
      this.flush();
      return;
    }
    this.#sealTimer ??= this.#options.clock.schedule('seal block', this.#options.blockAgeMs, () =>
      this.flush(),
    );
  }
}

function refuse(overload: Overload, entry: Entry): void {
  if (!isTimeGap(entry)) overload.count += 1;
  else if (overload.gaps.length < OVERLOAD_GAPS_MAX) overload.gaps.push(entry);
  else {
    overload.fromUs = Math.min(overload.fromUs, entry.fromUs);
    overload.count += 1;
  }
}

function earliestOf({ fromUs, gaps }: Overload): number {
  return gaps.reduce((earliest, gap) => Math.min(earliest, gap.fromUs), fromUs);
}
