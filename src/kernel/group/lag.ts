import { type Coverage, countOf, EMPTY_COVERAGE } from '../../domain/coverage.ts';
import { coverageDifference } from '../../domain/coverage-difference.ts';
import type { Archive } from '../../world/archive.ts';

/** A stream of which a taker may lack something. */
export interface Behind {
  sinceMs: number;
  /** Since when there is more than the goal; `null`: there is not. */
  moreMs: number | null;
  /** What was there at first; the taker is as far behind as it lacks some of it. */
  goal: Coverage | null;
  /** Numbers that are data here and of which the taker knows nothing, when it was looked last. */
  lacking: number;
  /** Of these, so many have no row here any more. */
  rowless: number;
}

/** Of which streams a taker may lack something, and since when. */
export class Lag {
  readonly #behind = new Map<string, Behind>();

  /** There is something new of a stream. */
  mark(streamId: string, nowMs: number): void {
    const known = this.#behind.get(streamId);
    if (known === undefined)
      this.#behind.set(streamId, { sinceMs: nowMs, moreMs: null, goal: null, lacking: 0, rowless: 0 });
    else if (known.goal !== null) known.moreMs ??= nowMs;
  }

  entries(): [string, Behind][] {
    return [...this.#behind];
  }

  /** The taker has the goal: if there is more by now, that is the next one. */
  reached(streamId: string, { moreMs }: Behind, mine: Coverage): void {
    if (moreMs === null) return;
    this.#behind.set(streamId, { sinceMs: moreMs, moreMs: null, goal: mine, lacking: 0, rowless: 0 });
  }

  /** The taker has everything, if nothing was marked since. */
  over(streamId: string, behind: Behind): void {
    if (behind.moreMs === null && this.#behind.get(streamId) === behind) this.#behind.delete(streamId);
  }

  /** Since when the taker lacks something; now if it lacks nothing. */
  sinceMs(nowMs: number): number {
    // Of as many streams as an archive has after years: more than a call takes arguments.
    let earliestMs = nowMs;
    for (const { sinceMs } of this.#behind.values()) earliestMs = Math.min(earliestMs, sinceMs);
    return earliestMs;
  }

  /** Everything that was there at a moment is there as well. */
  hasAllBefore(ms: number): boolean {
    return [...this.#behind.values()].every(({ sinceMs }) => sinceMs > ms);
  }

  /** It is known of each how much the taker lacks. */
  get isMeasured(): boolean {
    return [...this.#behind.values()].every(({ goal }) => goal !== null);
  }

  /**
   * Of a taker that is not there now, by what it said last: at most so much is lacking, because what was on
   * its way may be there. Of one that said nothing yet nothing is known.
   */
  async measureAway(
    archive: Pick<Archive, 'coverage'>,
    theirs: ReadonlyMap<string, Coverage>,
  ): Promise<void> {
    if (theirs.size === 0) return;
    for (const [streamId, behind] of this.#behind) {
      if (behind.goal !== null && behind.moreMs === null) continue;
      const mine = await archive.coverage(streamId);
      behind.lacking = countOf(coverageDifference(mine, theirs.get(streamId) ?? EMPTY_COVERAGE).unknown);
    }
  }

  /** Numbers that are data here and of which the taker knows nothing. */
  get lacking(): number {
    return [...this.#behind.values()].reduce((sum, { lacking }) => sum + lacking, 0);
  }

  /** Of these, numbers that can be given. */
  get toGive(): number {
    return [...this.#behind.values()].reduce((sum, { lacking, rowless }) => sum + lacking - rowless, 0);
  }
}
