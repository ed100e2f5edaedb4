import type { QualityChange, TagsInterval } from '../../../world/archive.ts';
import { integerOf } from '../columns.ts';
import { tidiedChanges } from '../quality-changes.ts';
import { qualityChangeOf } from '../query-rows.ts';
import type { Register } from '../register.ts';
import { tagIdsOf } from '../register-reads.ts';
import type { Query } from './catalog.ts';
import { timeText, timeUs } from './columns.ts';
import type { Row } from './connection.ts';
import { NOT_MARKED, QUALITY, SAMPLES } from './schema.ts';

/**
 * Changes of quality of many tags in few passes over the interval: nearly all tags have one quality all the
 * time, and only the others are sorted.
 */
export async function readQualityChangesOf(
  query: Query,
  register: Register,
  { site, tags, fromUs, toUs }: TagsInterval,
): Promise<Map<string, QualityChange[]>> {
  const names = new Map<number, string>();
  for (const tag of tags) for (const id of tagIdsOf(register, { site, tag })) names.set(id, tag);
  const changes = new Map<string, QualityChange[]>();
  const add = (row: Row): void => {
    const name = names.get(integerOf(row, 'tag')) ?? '';
    const found = changes.get(name) ?? [];
    found.push(qualityChangeOf(row));
    changes.set(name, found);
  };
  const ids = [...names.keys()];
  const inForce = await query(
    `SELECT t.tag, ${timeUs('p.source_time')} AS source_us, p.quality FROM unnest($1::integer[]) AS t (tag)
     CROSS JOIN LATERAL (
       SELECT r.source_time, ${QUALITY} AS quality FROM ${SAMPLES} r
       WHERE r.tag = t.tag AND r.source_time < $2 AND ${NOT_MARKED}
       ORDER BY r.source_time DESC, r.stream DESC, r.sequence DESC LIMIT 1) p`,
    [ids, timeText(fromUs)],
  );
  for (const row of inForce) add(row);
  const within = `r.tag = ANY ($1::integer[]) AND r.source_time >= $2 AND r.source_time < $3
    AND ${NOT_MARKED}`;
  const rows = await query(
    `SELECT tag, ${timeUs('min(source_time)')} AS source_us, min(${QUALITY}) AS quality,
       max(${QUALITY}) AS other FROM ${SAMPLES} r WHERE ${within} GROUP BY tag`,
    [ids, timeText(fromUs), timeText(toUs)],
  );
  for (const row of rows) if (row['quality'] === row['other']) add(row);
  const varying = rows.filter((row) => row['quality'] !== row['other']).map((row) => integerOf(row, 'tag'));
  if (varying.length > 0) {
    const changing = await query(
      `SELECT tag, ${timeUs('source_time')} AS source_us, quality FROM (
         SELECT r.tag, r.source_time, ${QUALITY} AS quality, r.stream, r.sequence,
           lag(${QUALITY}) OVER (PARTITION BY r.tag ORDER BY r.source_time, r.stream, r.sequence) AS before
         FROM ${SAMPLES} r WHERE ${within}) f
       WHERE before IS DISTINCT FROM quality ORDER BY source_time, stream, sequence`,
      [varying, timeText(fromUs), timeText(toUs)],
    );
    for (const row of changing) add(row);
  }
  for (const [name, found] of changes) changes.set(name, tidiedChanges(found, fromUs));
  return changes;
}
