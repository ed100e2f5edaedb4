import { type LateRange, mergeLate, PAUSE_MAX_US } from '../../../domain/late-range.ts';
import { formatTimeUs } from '../../../domain/units.ts';
import type { LateQuery } from '../../../world/archive.ts';
import {
  LATE_COLUMNS,
  lateKey,
  lateRangeOf,
  type OpenLateRange,
  type PostgresCatalog,
  type Query,
} from './catalog.ts';
import { timeText } from './columns.ts';
import type { Column, WritingSession } from './database.ts';
import type { PostgresWriter } from './writer.ts';

/** Rows of `late_ranges` that are kept: the oldest go. */
const KEPT_MAX = 4096;

const COLUMNS: readonly Column[] = [
  ['id', 'bigint'],
  ['site', 'text'],
  ['process', 'text'],
  ['station', 'text'],
  ['from_time', 'timestamptz'],
  ['to_time', 'timestamptz'],
  ['since', 'timestamptz'],
  ['completed_time', 'timestamptz'],
  ['is_announced', 'boolean'],
];

/**
 * Adds what a transaction completed: a row grows until nothing more comes. Of those of which nothing more
 * came whoever listens is told, once, when this transaction is durable.
 */
export async function writeLate(
  { session, catalog, transaction }: PostgresWriter,
  { schema, ranges }: { readonly schema: string; readonly ranges: readonly LateRange[] },
): Promise<Pick<PostgresCatalog, 'openLate' | 'lateId'>> {
  let { lateId } = catalog;
  const openLate = new Map(catalog.openLate);
  const over = [...openLate].filter(
    ([, { completedAtUs }]) => transaction.receivedAtUs - completedAtUs > PAUSE_MAX_US,
  );
  for (const [key] of over) openLate.delete(key);
  if (over.length > 0)
    await announce(
      session,
      schema,
      over.map(([, range]) => range),
    );
  if (ranges.length === 0) return { openLate, lateId };
  const changed = ranges.map((range): OpenLateRange => {
    const open = openLate.get(lateKey(range));
    const merged = open === undefined ? range : (mergeLate([open, range])[0] ?? range);
    const row = { ...merged, id: open?.id ?? ++lateId };
    openLate.set(lateKey(range), row);
    return row;
  });
  await session.insert(
    'late_ranges',
    COLUMNS,
    changed.map(({ id, site, process, station, fromUs, toUs, sinceUs, completedAtUs }) => [
      ...[id, site, process, station, timeText(fromUs), timeText(toUs)],
      ...[timeText(sinceUs), timeText(completedAtUs), 'false'],
    ]),
    `ON CONFLICT (id) DO UPDATE SET from_time = excluded.from_time, to_time = excluded.to_time,
       since = excluded.since, completed_time = excluded.completed_time`,
  );
  if (lateId > KEPT_MAX) await session.query('DELETE FROM late_ranges WHERE id <= $1', [lateId - KEPT_MAX]);
  return { openLate, lateId };
}

async function announce(
  session: WritingSession,
  schema: string,
  ranges: readonly OpenLateRange[],
): Promise<void> {
  const ids = ranges.map(({ id }) => id);
  await session.query('UPDATE late_ranges SET is_announced = true WHERE id = ANY ($1::bigint[])', [ids]);
  const payloads = ranges.map(({ site, process, station, fromUs, toUs }) =>
    JSON.stringify({ site, process, station, from: formatTimeUs(fromUs), to: formatTimeUs(toUs) }),
  );
  await session.query('SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload', [
    `${schema}_late`,
    payloads,
  ]);
}

/** Past ranges that were completed within an interval. */
export async function readLate(query: Query, { site, fromUs, toUs }: LateQuery): Promise<LateRange[]> {
  const rows = await query(
    `SELECT ${LATE_COLUMNS} FROM late_ranges
     WHERE completed_time >= $1 AND completed_time < $2 AND ($3::text IS NULL OR site = $3) ORDER BY id`,
    [timeText(fromUs), timeText(toUs), site ?? null],
  );
  return rows.map((row) => {
    const { id: _, ...range } = lateRangeOf(row);
    return range;
  });
}
