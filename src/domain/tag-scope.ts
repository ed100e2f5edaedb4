import type { DictionaryTag } from './dictionary.ts';
import type { TimeGap } from './sample.ts';

/** All that a tag was ever known by: its own name and its former ones. */
export interface TagScope {
  /** Full names, the present one first. */
  readonly names: readonly string[];
  readonly stations: ReadonlySet<string>;
  readonly processes: ReadonlySet<string>;
}

/** What `scopeOf` needs of a known tag. */
export type ScopedTag = Pick<DictionaryTag, 'name' | 'station' | 'formerly'> & { readonly process: string };

/** The scope of a tag, or `undefined` if neither it nor a former name of it is known. */
export function scopeOf(name: string, find: (name: string) => ScopedTag | undefined): TagScope | undefined {
  const names = [...new Set([name, ...(find(name)?.formerly ?? [])])];
  const known = names.map(find).filter((tag) => tag !== undefined);
  if (known.length === 0) return undefined;
  return {
    names,
    stations: new Set(known.map((tag) => tag.station)),
    processes: new Set(known.map((tag) => tag.process)),
  };
}

/** A time gap says that the tag was not observed: by its name, its station, or all stations. */
export function concernsTag(gap: Pick<TimeGap, 'station' | 'tags'>, scope: TagScope): boolean {
  if (gap.station !== null && !scope.stations.has(gap.station)) return false;
  return gap.tags.length === 0 || gap.tags.some((name) => scope.names.includes(name));
}

/** Former names of a tag when a dictionary that knows it is put: what was known stays known, newest first. */
export function mergeFormerly(newer: DictionaryTag, older: DictionaryTag | undefined): readonly string[] {
  const merged = [...newer.formerly, ...(older?.formerly ?? [])].filter((name) => name !== newer.name);
  return [...new Set(merged)];
}
