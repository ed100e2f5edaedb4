import { ENTRY_KIND_MASK } from '../../domain/block/block.ts';
import { Mark } from '../../domain/marks.ts';
import type {
  ArchivedGap,
  ArchivedSample,
  ArchiveStat,
  QualityChange,
  SampleQuery,
  TagInterval,
  TagName,
  TagStream,
} from '../../world/archive.ts';
import type { Catalog } from './catalog.ts';
import { integerOf, integerOrNull } from './columns.ts';
import { type Database, type Row, textOf, type Value } from './duckdb.ts';
import { gapsOf, qualityChangesOf, remainingOf, sampleOf } from './query-rows.ts';
import { carryingStreams, tagIdsOf, tagScope, tagStreamsOf } from './register-reads.ts';
import { rowValue } from './row-values.ts';
import { FLAGS_MARKS_SHIFT } from './sample-flags.ts';
import { type Month, monthOfTable, NOT_MARKED } from './schema.ts';

/** Rows of one source time come in the order of their streams, then of their sequence. */
const ORDER = ['r.source_us', 's.started_us', 's.stream_id', 'r.sequence'];
const ORDER_ASCENDING = ORDER.join(', ');
const ORDER_DESCENDING = ORDER.map((column) => `${column} DESC`).join(', ');

const SAMPLE_SELECT = `SELECT r.source_us, r.received_us, r.flags, r.value, r.text, r.quality, r.stream,
  r.sequence`;

export async function readSamples(
  database: Database,
  catalog: Catalog,
  query: SampleQuery,
): Promise<ArchivedSample[]> {
  const ids = tagIdsOf(catalog, query);
  if (ids.length === 0) return [];
  const { after, fromUs, toUs, limit } = query;
  const shown = query.withMarked === true ? '' : `AND ${NOT_MARKED}`;
  const rows: Row[] = [];
  if (query.withPrevious === true && after === undefined) {
    const previous = await readPrevious(database, catalog, { ids, beforeUs: fromUs, shown });
    if (previous !== undefined) rows.push(previous);
  }
  const startUs = after === undefined ? fromUs : Math.max(fromUs, after.sourceTimeUs);
  const behind = after === undefined ? { sql: '', values: [] } : behindRow(catalog, after);
  let left = limit;
  for (const { table } of monthsBetween(catalog, startUs, toUs)) {
    if (left <= 0) break;
    const found = await database.read(
      `${SAMPLE_SELECT} FROM ${table} r JOIN streams s ON s.id = r.stream
       WHERE ${tagFilter(ids)} AND r.source_us >= ? AND r.source_us < ? ${shown} ${behind.sql}
       ORDER BY ${ORDER_ASCENDING} LIMIT ${Math.floor(left)}`,
      [BigInt(startUs), BigInt(toUs), ...behind.values],
    );
    for (const row of found) rows.push(row);
    left -= found.length;
  }
  return await samplesOf(database, catalog, rows);
}

/** How far back a previous sample is looked for before all of its month is searched, µs: an hour, a day. */
const LOOK_BACK_US = [3_600_000_000, 86_400_000_000, Number.POSITIVE_INFINITY];

/** Mostly it is near: looking there first leaves nearly all of a month unread. */
async function readPrevious(
  database: Database,
  catalog: Catalog,
  {
    ids,
    beforeUs,
    shown,
  }: { readonly ids: readonly number[]; readonly beforeUs: number; readonly shown: string },
): Promise<Row | undefined> {
  const months = monthsBetween(catalog, Number.NEGATIVE_INFINITY, beforeUs).reverse();
  for (const { table, fromUs, toUs } of months) {
    const endUs = Math.min(toUs, beforeUs);
    for (const lookBackUs of LOOK_BACK_US) {
      const startUs = Math.max(fromUs, endUs - lookBackUs);
      const [row] = await database.read(
        `${SAMPLE_SELECT} FROM ${table} r JOIN streams s ON s.id = r.stream
         WHERE ${tagFilter(ids)} AND r.source_us >= ? AND r.source_us < ? ${shown}
         ORDER BY ${ORDER_DESCENDING} LIMIT 1`,
        [BigInt(startUs), BigInt(endUs)],
      );
      if (row !== undefined) return row;
      if (startUs === fromUs) break;
    }
  }
  return undefined;
}

export async function readQualityChanges(
  database: Database,
  catalog: Catalog,
  query: TagInterval,
): Promise<QualityChange[]> {
  const ids = tagIdsOf(catalog, query);
  if (ids.length === 0) return [];
  const shown = `AND ${NOT_MARKED}`;
  const previous = await readPrevious(database, catalog, { ids, beforeUs: query.fromUs, shown });
  const changing = previous === undefined ? [] : [previous];
  for (const { table } of monthsBetween(catalog, query.fromUs, query.toUs)) {
    const rows = await database.read(
      `SELECT source_us, quality FROM (
         SELECT r.source_us, s.started_us, s.stream_id, r.sequence, r.quality,
           lag(r.quality) OVER (ORDER BY ${ORDER_ASCENDING}) AS before
         FROM ${table} r JOIN streams s ON s.id = r.stream
         WHERE ${tagFilter(ids)} AND r.source_us >= ? AND r.source_us < ? ${shown}) r
       WHERE before IS DISTINCT FROM quality
       ORDER BY source_us, started_us, stream_id, sequence`,
      [BigInt(query.fromUs), BigInt(query.toUs)],
    );
    for (const row of rows) changing.push(row);
  }
  return qualityChangesOf(changing);
}

export async function readGaps(
  database: Database,
  catalog: Catalog,
  query: TagInterval,
): Promise<ArchivedGap[]> {
  const scope = tagScope(catalog, query);
  if (scope === undefined) return [];
  const streams = carryingStreams(catalog, query.site, scope).map((stream) => stream.id);
  if (streams.length === 0) return [];
  const interval = [BigInt(query.toUs), BigInt(query.fromUs)];
  const time = await database.read(
    `SELECT * FROM time_gaps WHERE stream IN (${streams.join(', ')}) AND from_us < ? AND to_us > ?`,
    interval,
  );
  const sequence = await database.read(
    `SELECT * FROM sequence_gaps WHERE stream IN (${streams.join(', ')}) AND from_us < ? AND to_us >= ?`,
    interval,
  );
  const tagsOf = (row: Row): string[] => JSON.parse(textOf(row, 'tags')) as string[];
  return gapsOf(catalog, { time, sequence }, { scope, tagsOf });
}

/** How many gaps are left in the whole archive. */
export async function countGaps(database: Database, catalog: Catalog): Promise<number> {
  const [time] = await database.read('SELECT count(*) AS count FROM time_gaps');
  const sequence = await database.read('SELECT * FROM sequence_gaps');
  const remaining = sequence.flatMap((row) => remainingOf(catalog, row));
  return (time === undefined ? 0 : integerOf(time, 'count')) + remaining.length;
}

/** Number of samples and their span of source time. */
export async function readSampleStat(
  database: Database,
  catalog: Catalog,
): Promise<Pick<ArchiveStat, 'samples' | 'marked' | 'oldestUs' | 'newestUs'>> {
  let samples = 0;
  const marked = { overlap: 0, duplicate: 0 };
  let oldestUs: number | null = null;
  let newestUs: number | null = null;
  for (const table of [...catalog.tables].sort()) {
    const [row] = await database.read(
      `SELECT count(*) AS count, min(source_us) AS oldest, max(source_us) AS newest,
         ${countMarked('overlap')} AS overlap, ${countMarked('duplicate')} AS duplicate FROM ${table}`,
    );
    if (row === undefined) continue;
    samples += integerOf(row, 'count');
    marked.overlap += integerOf(row, 'overlap');
    marked.duplicate += integerOf(row, 'duplicate');
    oldestUs ??= integerOrNull(row, 'oldest');
    newestUs = integerOrNull(row, 'newest') ?? newestUs;
  }
  return { samples, marked, oldestUs, newestUs };
}

function countMarked(mark: 'overlap' | 'duplicate'): string {
  return `count(*) FILTER (flags & ${Mark[mark] << FLAGS_MARKS_SHIFT} <> 0)`;
}

export async function readTagStreams(
  database: Database,
  catalog: Catalog,
  name: TagName,
): Promise<TagStream[]> {
  const ids = tagIdsOf(catalog, name);
  if (ids.length === 0) return [];
  const rows = await database.read(
    `SELECT DISTINCT dictionary FROM dictionary_tags WHERE tag IN (${ids.join(', ')})`,
  );
  return tagStreamsOf(catalog, name, new Set(rows.map((row) => integerOf(row, 'dictionary'))));
}

function tagFilter(ids: readonly number[]): string {
  return ids.length === 1 ? `r.tag = ${ids[0]}` : `r.tag IN (${ids.join(', ')})`;
}

/** Months that touch [fromUs, toUs), ascending. */
export function monthsBetween(catalog: Catalog, fromUs: number, toUs: number): Month[] {
  return [...catalog.tables]
    .flatMap((table) => monthOfTable(table) ?? [])
    .filter((month) => month.fromUs < toUs && month.toUs > fromUs)
    .sort((a, b) => a.fromUs - b.fromUs);
}

function behindRow(
  catalog: Catalog,
  after: NonNullable<SampleQuery['after']>,
): { readonly sql: string; readonly values: Value[] } {
  const startedUs = catalog.streams.get(after.streamId)?.startedAtUs ?? 0;
  return {
    sql: `AND (${ORDER_ASCENDING}) > (?, ?, ?, ?)`,
    values: [BigInt(after.sourceTimeUs), BigInt(startedUs), after.streamId, BigInt(after.sequence)],
  };
}

/** Rows with what is kept beside them. */
async function samplesOf(
  database: Database,
  catalog: Catalog,
  rows: readonly Row[],
): Promise<ArchivedSample[]> {
  const deviceTimes = await readDeviceTimes(database, catalog, rows);
  return rows.map((row) =>
    sampleOf(catalog, row, {
      value: rowValue(row, integerOf(row, 'flags') & ENTRY_KIND_MASK),
      deviceTimeUs: deviceTimes.get(`${row['stream']} ${row['sequence']}`) ?? null,
    }),
  );
}

/** Device times of the rows that have one, by stream and sequence. */
async function readDeviceTimes(
  database: Database,
  catalog: Catalog,
  rows: readonly Row[],
): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  for (const [stream, of] of Map.groupBy(rows, (row) => integerOf(row, 'stream'))) {
    if (!catalog.withDeviceTimes.has(stream)) continue;
    const sequences = of.map((row) => integerOf(row, 'sequence'));
    const range = [sequences.reduce((a, b) => Math.min(a, b)), sequences.reduce((a, b) => Math.max(a, b))];
    const times = await database.read(
      `SELECT * FROM device_times WHERE stream = ${stream} AND sequence BETWEEN ${range.join(' AND ')}`,
    );
    for (const row of times) found.set(`${stream} ${row['sequence']}`, integerOf(row, 'device_us'));
  }
  return found;
}
