import type { TimeGap, TimeGapReason } from './sample.ts';
import { STARTED_BY_ANOTHER_CLOCK } from './sample.ts';

/** Names in one time gap at most; a larger group is cut into several gaps. */
const GAP_TAGS_MAX = 500;

/** Since when nobody has seen a tag, and why. */
export interface Unobserved {
  /** Integer µs. */
  readonly sinceUs: number;
  readonly reason: TimeGapReason;
  /** The present clock told `sinceUs`; else that of the run before. */
  readonly isOwnClock: boolean;
}

/** What a gap says of a tag; the position in the list is the tag's index. */
export interface GapTag {
  readonly name: string;
  readonly station: string;
}

/** Groups the gaps of single tags into few records: same station, interval and reason. */
export class GapCollector {
  readonly #tags: readonly GapTag[];
  readonly #groups = new Map<string, { gap: Omit<TimeGap, 'tags'>; indexes: number[] }>();

  constructor(tags: readonly GapTag[]) {
    this.#tags = tags;
  }

  get isEmpty(): boolean {
    return this.#groups.size === 0;
  }

  add(tagIndex: number, { sinceUs: fromUs, reason, isOwnClock }: Unobserved, toUs: number): void {
    const tag = this.#tags[tagIndex];
    if (tag === undefined || toUs <= fromUs) return;
    const key = `${tag.station}\n${fromUs}\n${toUs}\n${reason}\n${isOwnClock}`;
    const group = this.#groups.get(key);
    if (group === undefined) {
      const clock = isOwnClock && STARTED_BY_ANOTHER_CLOCK.has(reason) ? { isOneClock: true as const } : {};
      const gap = { station: tag.station, fromUs, toUs, reason, ...clock };
      this.#groups.set(key, { gap, indexes: [tagIndex] });
    } else group.indexes.push(tagIndex);
  }

  gaps(indexesByStation: ReadonlyMap<string, readonly number[]>): TimeGap[] {
    return [...this.#groups.values()].flatMap(({ gap, indexes }) => {
      const isWholeStation = new Set(indexes).size === indexesByStation.get(gap.station ?? '')?.length;
      if (isWholeStation) return [{ ...gap, tags: [] }];
      const names = indexes.map((index) => this.#tags[index]?.name ?? '');
      const gaps: TimeGap[] = [];
      for (let at = 0; at < names.length; at += GAP_TAGS_MAX) {
        gaps.push({ ...gap, tags: names.slice(at, at + GAP_TAGS_MAX) });
      }
      return gaps;
    });
  }
}
