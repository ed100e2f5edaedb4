import { type Coverage, countOf, dataOf, type SequenceRange, within } from '../domain/coverage.ts';
import { isKomError } from '../domain/errors.ts';
import { RangeSet, rangesOf } from '../domain/range-set.ts';
import type { Archive, ArchiveTransaction } from '../world/archive.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';

/** Ranges told one by one. */
const TOLD_MAX = 3;

interface LostRange extends SequenceRange {
  readonly streamId: string;
}

/** Values that were acknowledged and are not in the archive. */
export interface LostStatus {
  readonly values: number;
  readonly streams: number;
  /** Some of the ranges. */
  readonly ranges: readonly LostRange[];
  /** So many of the values are in a gap record: nobody has them any more. */
  readonly declared: number;
  readonly forMs: number;
}

/**
 * What an archive has had, or an agent was told that one has, and what is not there: a backup was restored, a
 * copy of the database that had not everything took over. It holds until the values have come again, or a
 * person has seen it.
 */
export class LostValues {
  readonly #clock: Clock;
  readonly #log: Log;
  /** By stream, what was data when the archive was asked last, and since. */
  readonly #had = new Map<string, RangeSet>();
  /** By stream, what is missing, as far as is known before the archive is asked. */
  readonly #missing = new Map<string, RangeSet>();
  #lost: Omit<LostStatus, 'forMs'> | null = null;
  /** All ranges that the status is about. */
  #told: readonly LostRange[] = [];
  /** How often a person has seen something. */
  #acknowledgements = 0;
  #sinceMs = 0;
  #isLooking = false;

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = clock;
    this.#log = log;
  }

  /** `null`: nothing is known to be missing. */
  get status(): LostStatus | null {
    if (this.#lost === null) return null;
    return { ...this.#lost, forMs: Math.round(this.#clock.monotonicMs() - this.#sinceMs) };
  }

  /** The archive says what it has of a stream. */
  saw(streamId: string, coverage: Coverage): void {
    const now = new RangeSet(dataOf(coverage));
    const missing = this.#had.get(streamId)?.ranges.flatMap((range) => now.missing(range)) ?? [];
    for (const range of missing) rangesOf(this.#missing, streamId).add(range);
    this.#had.set(streamId, now);
  }

  /** These are archived now. Agents may have declared that an archive had had more. */
  committed({ blocks, gaps }: Pick<ArchiveTransaction, 'blocks' | 'gaps'>, archive: Archive): void {
    for (const { block } of blocks) {
      const { streamId, firstSequence: first, count } = block.header;
      rangesOf(this.#had, streamId).add({ first, last: first + count - 1 });
    }
    const declared = gaps.filter(({ reason }) => reason === 'kernel-regressed');
    for (const { streamId, firstSequence: first, lastSequence: last } of declared)
      rangesOf(this.#missing, streamId).add({ first, last });
    if (declared.length > 0) this.look(archive);
  }

  /** The archive has lost something, or is opened anew: all that is known of it is compared. */
  compare(archive: Pick<Archive, 'coverage'>): void {
    this.#compare(archive).catch((error: unknown) => {
      if (!isKomError(error)) throw error;
      this.#log.warn({ error: error.message }, 'what the archive has lost is compared when it is used');
    });
  }

  /** Takes off what has come again; to be called again and again. */
  look(archive: Pick<Archive, 'coverage'>): void {
    if (this.#missing.size === 0 || this.#isLooking) return;
    this.#isLooking = true;
    this.#count(archive)
      .catch((error: unknown) => {
        // It is asked again.
        if (!isKomError(error)) throw error;
      })
      .finally(() => {
        this.#isLooking = false;
      });
  }

  /**
   * A person has seen what the status tells: what is known since, and was not counted yet, is told then.
   * Returns how many values were missing.
   */
  acknowledge(): number {
    const values = this.#lost?.values ?? 0;
    for (const { streamId, ...range } of this.#told) {
      const missing = this.#missing.get(streamId);
      missing?.remove(range);
      if (missing?.ranges.length === 0) this.#missing.delete(streamId);
    }
    this.#told = [];
    this.#lost = null;
    this.#acknowledgements++;
    return values;
  }

  async #compare(archive: Pick<Archive, 'coverage'>): Promise<void> {
    for (const streamId of [...this.#had.keys()]) this.saw(streamId, await archive.coverage(streamId));
    this.look(archive);
  }

  async #count(archive: Pick<Archive, 'coverage'>): Promise<void> {
    const began = this.#acknowledgements;
    const counted: LostRange[] = [];
    let declared = 0;
    for (const [streamId, missing] of [...this.#missing]) {
      const coverage = await archive.coverage(streamId);
      // Of what was counted a person has seen some meanwhile: it begins anew at the next look.
      if (began !== this.#acknowledgements) return;
      const data = dataOf(coverage);
      for (const range of data) missing.remove(range);
      if (missing.ranges.length === 0) this.#missing.delete(streamId);
      const gaps = coverage.filter(({ state }) => state !== 'data');
      declared += countOf(missing.ranges.flatMap((range) => within(range, gaps)));
      counted.push(...missing.ranges.map((range) => ({ streamId, ...range })));
    }
    this.#told = counted;
    if (counted.length === 0) return this.#isOver();
    const now = {
      values: countOf(counted),
      streams: new Set(counted.map(({ streamId }) => streamId)).size,
      ranges: counted.slice(0, TOLD_MAX),
      declared,
    };
    if (this.#lost === null) {
      this.#sinceMs = this.#clock.monotonicMs();
      this.#log.error(now, 'the archive lacks what was acknowledged');
    }
    this.#lost = now;
  }

  #isOver(): void {
    if (this.#lost !== null) this.#log.info({}, 'what the archive had lost has come again');
    this.#lost = null;
  }
}
