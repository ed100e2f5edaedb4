import {
  type Coverage,
  countOf,
  dataOf,
  type SequenceRange,
  subtractAll,
  within,
  withinAll,
} from '../../domain/coverage.ts';
import { gapOfSpan, type NumberedSpan, type SequenceGap } from '../../domain/gap.ts';
import type { Nack } from '../../uplink/messages.ts';
import { isForGood } from '../../uplink/refusals.ts';
import { cutTo } from './gap-book.ts';

/**
 * Blocks that are remembered until they are gaps over there, and runs of refused numbers that a stream may
 * have there: twice as many ranges, with the data between them, still are in a ForwardCoverage.
 */
export const REFUSED_MAX = 4000;
/** A block that was refused for a reason that says nothing is given again after so long. */
const AGAIN_MS = 10_000;

/** What a taker refuses for good. */
export interface RefusedStatus {
  /** Numbers that are data here and a gap `rejected` there. */
  readonly values: number;
  /** Runs of such numbers. */
  readonly runs: number;
  /** For how long this Kernel has known of it, milliseconds; `null`: nothing is refused. */
  readonly forMs: number | null;
  /** What the taker said last; `null`: nothing since this Kernel started. */
  readonly why: string | null;
}

export const NOTHING_REFUSED: RefusedStatus = { values: 0, runs: 0, forMs: null, why: null };

interface Again {
  readonly span: NumberedSpan;
  readonly dueMs: number;
}

/**
 * Blocks that a taker refuses. Where it does so for good, what of them it knows nothing of becomes a gap in
 * its archive, and only there, as with an agent whose Kernel refuses a block. What is refused and settled in
 * this way the two coverages say: it needs no memory here, and outlives every restart.
 */
export class RefusedBlocks {
  /** By stream, records for the taker, of whole blocks. */
  readonly #lost = new Map<string, SequenceGap[]>();
  readonly #again: Again[] = [];
  /** By stream, numbers that are data here and a gap `rejected` there; ascending and disjoint. */
  readonly #settled = new Map<string, readonly SequenceRange[]>();
  #remembered = 0;
  #sinceMs: number | null = null;
  #why: string | null = null;
  #saidLast = '';

  /** Nothing more is remembered: what is refused now is to be given again when there is room. */
  get isFull(): boolean {
    return this.#remembered >= REFUSED_MAX || this.#again.length >= REFUSED_MAX;
  }

  /**
   * A block that was on its way is refused; `isUnknown`: the taker knows nothing of some of it, which is to
   * become a gap. True: for another reason than the last one, if there was one.
   */
  refused(
    nack: Nack,
    span: NumberedSpan,
    { nowMs, isUnknown }: { readonly nowMs: number; readonly isUnknown: boolean },
  ): boolean {
    const said = nack.text === '' ? nack.reason : `${nack.reason}, ${nack.text}`;
    if (!isForGood(nack)) {
      if (!this.isFull) this.#again.push({ span, dueMs: nowMs + AGAIN_MS });
    } else {
      this.#why = said;
      if (isUnknown && !this.isFull) this.#remember(gapOfSpan(span, 'rejected'));
    }
    const isNews = said !== this.#saidLast;
    this.#saidLast = said;
    return isNews;
  }

  /** Blocks that may be given once more by now. */
  due(nowMs: number): NumberedSpan[] {
    const later = this.#again.findIndex(({ dueMs }) => dueMs > nowMs);
    return this.#again.splice(0, later < 0 ? this.#again.length : later).map(({ span }) => span);
  }

  /**
   * Records of what was refused and of which the taker knows nothing, `unknown` of what it has. Of a stream
   * with as many runs as may be nothing more is remembered: it would wait for ever, and others behind it.
   */
  gaps(streamId: string, unknown: readonly SequenceRange[], theirs: Coverage): SequenceGap[] {
    const lost = this.#lost.get(streamId);
    if (lost === undefined) return [];
    const gaps = lost.map((gap) =>
      within({ first: gap.firstSequence, last: gap.lastSequence }, unknown).flatMap((part) =>
        cutTo(gap, part),
      ),
    );
    const room = REFUSED_MAX - theirs.filter(isRejected).length;
    const open = room <= 0 ? [] : lost.filter((_, at) => gaps[at]?.length !== 0);
    this.#remembered -= lost.length - open.length;
    if (open.length === 0) this.#lost.delete(streamId);
    else this.#lost.set(streamId, open);
    return gaps.flat().slice(0, Math.max(0, room));
  }

  /** `data`: what is data here and not there. */
  compared(
    streamId: string,
    { data, theirs, nowMs }: { data: readonly SequenceRange[]; theirs: Coverage; nowMs: number },
  ): void {
    this.#settle(streamId, withinAll(data, theirs.filter(isRejected)));
    if (this.#settled.size > 0) this.#sinceMs ??= nowMs;
  }

  /** The taker has more of a stream: it may have taken something that it refused before. */
  told(streamId: string, coverage: Coverage): void {
    const settled = this.#settled.get(streamId);
    if (settled !== undefined) this.#settle(streamId, subtractAll(settled, dataOf(coverage)));
  }

  /** Another connection: everything is given once more. */
  clear(): void {
    this.#lost.clear();
    this.#again.length = 0;
    this.#remembered = 0;
    this.#saidLast = '';
  }

  /** `rowless`: numbers of a stream that this Kernel has no rows of any more. */
  status(nowMs: number, rowless: (streamId: string) => readonly SequenceRange[]): RefusedStatus {
    const there = [...this.#settled].flatMap(([streamId, ranges]) => subtractAll(ranges, rowless(streamId)));
    const isNothing = there.length === 0 || this.#sinceMs === null;
    return {
      ...{ values: countOf(there), runs: there.length, why: this.#why },
      forMs: isNothing ? null : Math.round(nowMs - (this.#sinceMs ?? nowMs)),
    };
  }

  #remember(gap: SequenceGap): void {
    this.#remembered++;
    const lost = this.#lost.get(gap.streamId) ?? [];
    lost.push(gap);
    this.#lost.set(gap.streamId, lost);
  }

  #settle(streamId: string, ranges: readonly SequenceRange[]): void {
    if (ranges.length > 0) this.#settled.set(streamId, ranges);
    else this.#settled.delete(streamId);
    if (this.#settled.size === 0) this.#sinceMs = null;
  }
}

function isRejected({ state }: Coverage[number]): boolean {
  return state === 'rejected';
}
