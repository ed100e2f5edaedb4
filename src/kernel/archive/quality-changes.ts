import type { QualityChange } from '../../world/archive.ts';

/** Ascending, from the one in force at the start, without repeats. A former name may have told others. */
export function tidiedChanges(changes: readonly QualityChange[], fromUs: number): QualityChange[] {
  const sorted = changes.toSorted((a, b) => a.sourceTimeUs - b.sourceTimeUs);
  const first = sorted.findLastIndex(({ sourceTimeUs }) => sourceTimeUs < fromUs);
  return sorted
    .slice(Math.max(0, first))
    .filter(({ quality }, at, all) => at === 0 || quality !== all[at - 1]?.quality);
}
