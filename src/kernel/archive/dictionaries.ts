import type { Dictionary } from '../../domain/dictionary.ts';
import type { Catalog } from './catalog.ts';
import { integerOf } from './columns.ts';
import { type Database, textOf } from './duckdb.ts';
import { type TagRow, tagKey } from './register.ts';
import { tagRowsOf } from './tag-rows.ts';

/** Writes a dictionary and what it says about its tags. Returns the rows that the catalog then has. */
export async function insertDictionary(
  database: Database,
  catalog: Catalog,
  entry: { readonly hash: string; readonly bytes: Uint8Array; readonly dictionary: Dictionary },
): Promise<{ readonly id: number; readonly tags: readonly TagRow[] }> {
  const { site, process, tags } = entry.dictionary;
  const id = catalog.dictionaries.size + 1;
  const { rows, changed } = tagRowsOf(catalog, entry.dictionary);
  const replaced = changed.filter((row) => catalog.tags.has(tagKey(site, row.name)));
  if (replaced.length > 0) {
    await database.write(`DELETE FROM tags WHERE id IN (${replaced.map((row) => row.id).join(', ')})`);
  }
  await database.insert(
    'tags',
    changed.map((row) => [
      ...[row.id, row.site, row.name, row.process, row.station, row.class, row.type, row.unit],
      ...[JSON.stringify(row.formerly), row.scanMs ?? null],
    ]),
  );
  await database.insert('dictionaries', [
    [id, entry.hash, JSON.stringify({ site, process, tags }), entry.bytes],
  ]);
  await database.insert(
    'dictionary_tags',
    rows.map((row, index) => [id, index, row.id]),
  );
  return { id, tags: changed };
}

/** The dictionary of a hash as it was put. */
export async function readDictionary(database: Database, hash: string): Promise<Dictionary | undefined> {
  const [row] = await database.read('SELECT content FROM dictionaries WHERE hash = ?', [hash]);
  return row === undefined ? undefined : (JSON.parse(textOf(row, 'content')) as Dictionary);
}

/** Tag ids of a dictionary by tag index. */
export async function readTagIds(database: Database, dictionary: number): Promise<Int32Array> {
  // A transaction asks, which must not wait until somebody else's question is answered.
  const rows = await database.readWritten(
    'SELECT tag FROM dictionary_tags WHERE dictionary = ? ORDER BY tag_index',
    [dictionary],
  );
  return Int32Array.from(rows, (row) => integerOf(row, 'tag'));
}
