import type { Dictionary } from '../../domain/dictionary.ts';
import { mergeFormerly } from '../../domain/tag-scope.ts';
import { type Register, type TagRow, tagKey } from './register.ts';

/** Rows of the tags of a dictionary, by tag index, and those of them that are new or not as they were. */
export function tagRowsOf(
  register: Register,
  { site, process, tags }: Dictionary,
): { readonly rows: readonly TagRow[]; readonly changed: readonly TagRow[] } {
  // Not of the names: a database may not tell two of them apart that nobody made in good faith.
  let nextId = register.tagsById.size + 1;
  const fresh = new Map<string, number>();
  const rows = tags.map((tag): TagRow => {
    const known = register.tags.get(tagKey(site, tag.name));
    const tagId = known?.id ?? fresh.get(tag.name) ?? nextId++;
    fresh.set(tag.name, tagId);
    return { ...tag, formerly: mergeFormerly(tag, known), site, process, id: tagId };
  });
  return { rows, changed: rows.filter((row) => !sameTag(row, register.tags.get(tagKey(site, row.name)))) };
}

function sameTag(a: TagRow, b: TagRow | undefined): boolean {
  return (
    b !== undefined &&
    a.process === b.process &&
    a.station === b.station &&
    a.class === b.class &&
    a.type === b.type &&
    a.unit === b.unit &&
    a.scanMs === b.scanMs &&
    a.formerly.join('\n') === b.formerly.join('\n')
  );
}
