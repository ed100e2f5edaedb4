import type { QualityChange, TagsInterval } from '../../world/archive.ts';
import type { Catalog } from './catalog.ts';
import { integerOf } from './columns.ts';
import type { Database, Row } from './duckdb.ts';
import { tidiedChanges } from './quality-changes.ts';
import { qualityChangeOf } from './query-rows.ts';
import { monthsBetween } from './reads.ts';
import { tagIdsOf } from './register-reads.ts';
import { NOT_MARKED } from './schema.ts';

/** How far back the quality in force is looked for, µs: an hour, two days, everything. */
const LOOK_BACK_US = [3_600_000_000, 2 * 86_400_000_000, Number.POSITIVE_INFINITY];

/**
 * Changes of quality of many tags in few passes over the interval: nearly all tags have one quality all the
 * time, and only the others are sorted.
 */
export async function readQualityChangesOf(
  database: Database,
  catalog: Catalog,
  query: TagsInterval,
): Promise<Map<string, QualityChange[]>> {
  const names = new Map<number, string>();
  for (const tag of query.tags) {
    for (const id of tagIdsOf(catalog, { site: query.site, tag })) names.set(id, tag);
  }
  const changes = new Map<string, QualityChange[]>();
  const add = (row: Row): void => {
    const name = names.get(integerOf(row, 'tag')) ?? '';
    const found = changes.get(name) ?? [];
    found.push(qualityChangeOf(row));
    changes.set(name, found);
  };
  const ids = [...names.keys()];
  for (const row of await inForce(database, catalog, { ids, beforeUs: query.fromUs })) add(row);
  for (const { table } of monthsBetween(catalog, query.fromUs, query.toUs)) {
    const span = `source_us >= ${query.fromUs} AND source_us < ${query.toUs}`;
    const rows = await database.read(
      `SELECT tag, min(source_us) AS source_us, min(quality) AS quality, max(quality) AS other
       FROM ${table} WHERE ${among(ids)} AND ${span} AND ${NOT_MARKED} GROUP BY tag`,
    );
    const varying = rows.filter((row) => row['quality'] !== row['other']).map((row) => integerOf(row, 'tag'));
    for (const row of rows.filter((each) => each['quality'] === each['other'])) add(row);
    if (varying.length === 0) continue;
    const changing = await database.read(
      `SELECT tag, source_us, quality FROM (
         SELECT tag, source_us, quality, stream, sequence,
           lag(quality) OVER (PARTITION BY tag ORDER BY source_us, stream, sequence) AS before
         FROM ${table} WHERE ${among(varying)} AND ${span} AND ${NOT_MARKED})
       WHERE before IS DISTINCT FROM quality ORDER BY source_us, stream, sequence`,
    );
    for (const row of changing) add(row);
  }
  for (const [name, found] of changes) changes.set(name, tidiedChanges(found, query.fromUs));
  return changes;
}

/** The last sample of each tag before a time. */
async function inForce(
  database: Database,
  catalog: Catalog,
  { ids, beforeUs }: { readonly ids: readonly number[]; readonly beforeUs: number },
): Promise<Row[]> {
  const found: Row[] = [];
  const missing = new Set(ids);
  for (const { table, fromUs, toUs } of monthsBetween(
    catalog,
    Number.NEGATIVE_INFINITY,
    beforeUs,
  ).reverse()) {
    const endUs = Math.min(toUs, beforeUs);
    for (const lookBackUs of LOOK_BACK_US) {
      if (missing.size === 0) return found;
      const startUs = Math.max(fromUs, endUs - lookBackUs);
      const rows = await database.read(
        `SELECT tag, max(source_us) AS source_us, arg_max(quality, source_us) AS quality FROM ${table}
         WHERE ${among([...missing])} AND source_us >= ${startUs} AND source_us < ${endUs} AND ${NOT_MARKED}
         GROUP BY tag`,
      );
      for (const row of rows) missing.delete(integerOf(row, 'tag'));
      found.push(...rows);
      if (startUs === fromUs) break;
    }
  }
  return found;
}

function among(ids: readonly number[]): string {
  return ids.length === 0 ? 'false' : `tag IN (${ids.join(', ')})`;
}
