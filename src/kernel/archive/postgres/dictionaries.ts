import type { Dictionary } from '../../../domain/dictionary.ts';
import { tagKey } from '../register.ts';
import { tagRowsOf } from '../tag-rows.ts';
import type { PostgresCatalog, Query } from './catalog.ts';
import { textOf } from './columns.ts';
import { asTextList, jsonList } from './commit.ts';
import type { Column, WritingSession } from './database.ts';

const TAG_COLUMNS: readonly Column[] = [
  ['id', 'integer'],
  ['site', 'text'],
  ['name', 'text'],
  ['process', 'text'],
  ['station', 'text'],
  ['class', 'text'],
  ['type', 'text'],
  ['unit', 'text'],
  ['formerly', 'text', asTextList],
  ['scan_ms', 'double precision'],
];

const CHANGED_TAG = TAG_COLUMNS.slice(1)
  .map(([name]) => `${name} = excluded.${name}`)
  .join(', ');

/** Writes a dictionary and what it says about its tags, and then tells the catalog. */
export async function putDictionary(
  session: WritingSession,
  catalog: PostgresCatalog,
  entry: { readonly hash: string; readonly bytes: Uint8Array; readonly dictionary: Dictionary },
): Promise<void> {
  if (catalog.dictionaries.has(entry.hash)) return;
  const id = catalog.dictionaries.size + 1;
  const { rows, changed } = tagRowsOf(catalog, entry.dictionary);
  await session.transaction(async () => {
    await session.insert(
      'tags',
      TAG_COLUMNS,
      changed.map((row) => [
        ...[row.id, row.site, row.name, row.process, row.station, row.class, row.type, row.unit],
        ...[jsonList(row.formerly), row.scanMs ?? null],
      ]),
      `ON CONFLICT (id) DO UPDATE SET ${CHANGED_TAG}`,
    );
    const content = JSON.stringify(entry.dictionary);
    await session.query('INSERT INTO dictionaries VALUES ($1, $2, $3, $4)', [
      ...[id, entry.hash, content, entry.bytes],
    ]);
    const columns: readonly Column[] = [
      ['dictionary', 'integer'],
      ['tag_index', 'integer'],
      ['tag', 'integer'],
    ];
    await session.insert(
      'dictionary_tags',
      columns,
      rows.map((row, index) => [id, index, row.id]),
    );
  });
  catalog.dictionaries.set(entry.hash, id);
  for (const tag of changed) {
    catalog.tags.set(tagKey(tag.site, tag.name), tag);
    catalog.tagsById.set(tag.id, tag);
  }
}

/** The dictionary of a hash as it was put. */
export async function readDictionary(query: Query, hash: string): Promise<Dictionary | undefined> {
  const [row] = await query('SELECT content FROM dictionaries WHERE hash = $1', [hash]);
  return row === undefined ? undefined : (JSON.parse(textOf(row, 'content')) as Dictionary);
}
