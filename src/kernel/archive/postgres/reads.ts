import { Mark } from '../../../domain/marks.ts';
import type {
  ArchivedGap,
  ArchivedSample,
  ArchiveStat,
  QualityChange,
  SampleQuery,
  TagInterval,
  TagName,
  TagStream,
} from '../../../world/archive.ts';
import { integerOf, integerOrNull } from '../columns.ts';
import { gapsOf, qualityChangesOf, remainingOf, sampleOf } from '../query-rows.ts';
import type { Register } from '../register.ts';
import { carryingStreams, tagIdsOf, tagScope, tagStreamsOf } from '../register-reads.ts';
import { FLAGS_MARKS_SHIFT } from '../sample-flags.ts';
import type { Query } from './catalog.ts';
import { listOf, timeText, timeUs } from './columns.ts';
import { literal, type Row, type Value } from './connection.ts';
import { sampleValueOf, VALUE_COLUMNS } from './row-values.ts';
import { NOT_MARKED, QUALITY, SAMPLES } from './schema.ts';

/** Rows of one source time come in the order of their streams, then of their sequence. */
const ORDER = ['source_time', 'started_time', 'stream_id', 'sequence'];
const ORDER_ASCENDING = ORDER.join(', ');
const ORDER_DESCENDING = ORDER.map((column) => `${column} DESC`).join(', ');

const ROWS = `SELECT r.*, ${QUALITY} AS told_quality, s.started_time, s.stream_id
  FROM ${SAMPLES} r JOIN streams s ON s.id = r.stream`;
const SELECTED = `${timeUs('source_time')} AS source_us, ${timeUs('received_time')} AS received_us,
  ${timeUs('device_time')} AS device_us, flags, quality, stream, sequence, ${VALUE_COLUMNS}`;

export async function readSamples(
  query: Query,
  register: Register,
  asked: SampleQuery,
): Promise<ArchivedSample[]> {
  const ids = tagIdsOf(register, asked);
  if (ids.length === 0) return [];
  const { after, fromUs, toUs, limit } = asked;
  const shown = asked.withMarked === true ? 'true' : NOT_MARKED;
  const rows: Row[] = [];
  if (asked.withPrevious === true && after === undefined) {
    const previous = await readPrevious(query, ids, { beforeUs: fromUs, shown, selected: SELECTED });
    if (previous !== undefined) rows.push(previous);
  }
  const startUs = after === undefined ? fromUs : Math.max(fromUs, after.sourceTimeUs);
  const values: Value[] = [timeText(startUs), timeText(toUs)];
  let behind = 'true';
  if (after !== undefined) {
    behind = `(r.source_time, s.started_time, s.stream_id, r.sequence)
      > ($3::timestamptz, $4::timestamptz, $5::text, $6::bigint)`;
    const startedUs = register.streams.get(after.streamId)?.startedAtUs ?? 0;
    values.push(timeText(after.sourceTimeUs), timeText(startedUs), after.streamId, after.sequence);
  }
  const ordered = `ORDER BY ${ORDER_ASCENDING} LIMIT ${Math.max(0, Math.floor(limit))}`;
  // For one tag after the other an index gives the rows in their order.
  const each = ids.map(
    (id) => `(${ROWS} WHERE r.tag = ${id} AND r.source_time >= $1 AND r.source_time < $2
      AND ${shown} AND ${behind} ${ordered})`,
  );
  const found = await query(`SELECT ${SELECTED} FROM (${each.join(' UNION ALL ')}) f ${ordered}`, values);
  for (const row of found) rows.push(row);
  return rows.map((row) =>
    sampleOf(register, row, { value: sampleValueOf(row), deviceTimeUs: integerOrNull(row, 'device_us') }),
  );
}

/** The last row of tags before a time. */
async function readPrevious(
  query: Query,
  ids: readonly number[],
  {
    beforeUs,
    shown,
    selected,
  }: { readonly beforeUs: number; readonly shown: string; readonly selected: string },
): Promise<Row | undefined> {
  const last = `ORDER BY ${ORDER_DESCENDING} LIMIT 1`;
  const each = ids.map((id) => `(${ROWS} WHERE r.tag = ${id} AND r.source_time < $1 AND ${shown} ${last})`);
  const [row] = await query(`SELECT ${selected} FROM (${each.join(' UNION ALL ')}) f ${last}`, [
    timeText(beforeUs),
  ]);
  return row;
}

export async function readQualityChanges(
  query: Query,
  register: Register,
  asked: TagInterval,
): Promise<QualityChange[]> {
  const ids = tagIdsOf(register, asked);
  if (ids.length === 0) return [];
  const previous = await readPrevious(query, ids, {
    ...{ beforeUs: asked.fromUs, shown: NOT_MARKED },
    selected: `${timeUs('source_time')} AS source_us, told_quality AS quality`,
  });
  const rows = await query(
    `SELECT ${timeUs('source_time')} AS source_us, told_quality AS quality FROM (
       SELECT f.*, lag(told_quality) OVER (ORDER BY ${ORDER_ASCENDING}) AS before FROM (
         ${ROWS} WHERE r.tag = ANY ($1::integer[]) AND r.source_time >= $2 AND r.source_time < $3
           AND ${NOT_MARKED}) f) g
     WHERE before IS DISTINCT FROM told_quality ORDER BY ${ORDER_ASCENDING}`,
    [ids, timeText(asked.fromUs), timeText(asked.toUs)],
  );
  return qualityChangesOf(previous === undefined ? rows : [previous, ...rows]);
}

export async function readGaps(query: Query, register: Register, asked: TagInterval): Promise<ArchivedGap[]> {
  const scope = tagScope(register, asked);
  if (scope === undefined) return [];
  const streams = carryingStreams(register, asked.site, scope).map((stream) => stream.id);
  if (streams.length === 0) return [];
  const values = [streams, timeText(asked.toUs), timeText(asked.fromUs)];
  const times = `${timeUs('from_time')} AS from_us, ${timeUs('to_time')} AS to_us`;
  const time = await query(
    `SELECT *, array_to_json(tags) AS named, ${times} FROM time_gaps
     WHERE stream = ANY ($1::integer[]) AND from_time < $2 AND to_time > $3
     ORDER BY received_time, stream, sequence`,
    values,
  );
  const sequence = await query(
    `SELECT *, ${times} FROM sequence_gaps
     WHERE stream = ANY ($1::integer[]) AND from_time < $2 AND to_time >= $3
     ORDER BY received_time, stream, first_sequence`,
    values,
  );
  return gapsOf(register, { time, sequence }, { scope, tagsOf: (row) => listOf(row, 'named') });
}

/** Sizes of what the register does not tell. */
export async function readStat(
  query: Query,
  register: Register,
): Promise<Omit<ArchiveStat, 'tags' | 'streams'>> {
  const marked = (mark: 'overlap' | 'duplicate'): string =>
    `count(*) FILTER (WHERE flags & ${Mark[mark] << FLAGS_MARKS_SHIFT} <> 0) AS ${mark}`;
  const [samples = {}] = await query(
    `SELECT count(*) AS count, ${timeUs('min(source_time)')} AS oldest,
       ${timeUs('max(source_time)')} AS newest,
       ${marked('overlap')}, ${marked('duplicate')} FROM ${SAMPLES}`,
  );
  const [time = {}] = await query('SELECT count(*) AS count FROM time_gaps');
  const times = `${timeUs('from_time')} AS from_us, ${timeUs('to_time')} AS to_us`;
  const sequence = await query(`SELECT *, ${times} FROM sequence_gaps`);
  return {
    samples: integerOf(samples, 'count'),
    marked: { overlap: integerOf(samples, 'overlap'), duplicate: integerOf(samples, 'duplicate') },
    oldestUs: integerOrNull(samples, 'oldest'),
    newestUs: integerOrNull(samples, 'newest'),
    gaps: integerOf(time, 'count') + sequence.flatMap((row) => remainingOf(register, row)).length,
    sizeBytes: await readSize(query),
  };
}

/** Bytes of everything in the schema, and of the chunks of TimescaleDB, which are in another one. */
async function readSize(query: Query): Promise<number> {
  const [size = {}] = await query(
    `SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint AS bytes FROM pg_class c
     WHERE c.relkind = 'r' AND (c.relnamespace = current_schema()::regnamespace OR c.oid IN (
       SELECT inhrelid FROM pg_inherits WHERE inhparent = ${literal(SAMPLES)}::regclass))`,
  );
  return integerOf(size, 'bytes');
}

export async function readTagStreams(query: Query, register: Register, name: TagName): Promise<TagStream[]> {
  const ids = tagIdsOf(register, name);
  if (ids.length === 0) return [];
  const rows = await query(
    'SELECT DISTINCT dictionary FROM dictionary_tags WHERE tag = ANY ($1::integer[])',
    [ids],
  );
  return tagStreamsOf(register, name, new Set(rows.map((row) => integerOf(row, 'dictionary'))));
}
