import type { ArchivedClockFix } from '../../domain/clock-offsets.ts';
import type { RepairedRange } from '../../domain/commit-plan.ts';
import { isFixedBy, isIn, type SampleRow } from './archive-rows.ts';
import { rivalled, type Surroundings, withRivalMarks } from './rival-marks.ts';

/** The rows of samples of a simulated archive, by tag: days of them are still looked into fast. */
export class SampleTable {
  readonly #byTag = new Map<string, SampleRow[]>();

  /** In the order in which they came, tag by tag. */
  all(): SampleRow[] {
    return [...this.#byTag.values()].flat();
  }

  /** Of these tags of a site. */
  ofTags(site: string, tags: readonly string[]): SampleRow[] {
    return tags.flatMap((tag) => this.#byTag.get(tagKey({ site, tag })) ?? []);
  }

  add(rows: readonly SampleRow[]): void {
    for (const row of rows) {
      const known = this.#byTag.get(tagKey(row));
      if (known === undefined) this.#byTag.set(tagKey(row), [row]);
      else known.push(row);
    }
  }

  delete(ranges: readonly RepairedRange[]): void {
    if (ranges.length > 0) this.#keep((row) => !isIn(ranges, row));
  }

  /** As when a month is dropped. */
  deleteBefore(timeUs: number): void {
    this.#keep((row) => row.sourceTimeUs >= timeUs);
  }

  /** Moves the times of those that a fix is about. */
  fix(fix: ArchivedClockFix): void {
    const isMoved = (row: SampleRow): boolean => isFixedBy(fix, row) && row.deviceTimeUs !== row.rawTimeUs;
    this.#change((row) => (isMoved(row) ? { ...row, sourceTimeUs: row.rawTimeUs + fix.offsetUs } : row));
  }

  /** Marks what another instance tells better, around rows that came; `null`: everywhere, for rows moved. */
  mark(touched: readonly SampleRow[] | null, surroundings: Surroundings): void {
    const streams = rivalled(surroundings.streams);
    if (streams.size === 0) return;
    const isRivalled = ({ streamId }: SampleRow): boolean => streams.has(streamId);
    const byTag = touched === null ? this.#byTag : Map.groupBy(touched.filter(isRivalled), tagKey);
    for (const [key, rows] of byTag) {
      const known = this.#byTag.get(key);
      if (known === undefined) continue;
      this.#byTag.set(key, withRivalMarks(known, touched === null ? null : rows, surroundings));
    }
  }

  #keep(isKept: (row: SampleRow) => boolean): void {
    for (const [key, rows] of this.#byTag) this.#byTag.set(key, rows.filter(isKept));
  }

  #change(change: (row: SampleRow) => SampleRow): void {
    for (const [key, rows] of this.#byTag) this.#byTag.set(key, rows.map(change));
  }
}

/** A tag among those of all sites. */
export function tagKey({ site, tag }: { readonly site: string; readonly tag: string }): string {
  return `${site}\n${tag}`;
}
