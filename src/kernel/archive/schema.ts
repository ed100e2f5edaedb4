import { ENTRY_CAUSE_SHIFT, ENTRY_KIND_MASK, EntryKind } from '../../domain/block/block.ts';
import { OVERLAP_MARKS } from '../../domain/overlap.ts';
import { SAMPLE_CAUSES } from '../../domain/sample.ts';
import type { ColumnType } from './duckdb.ts';
import { CAUSE_MASK, FLAGS_DEVICE_TIMED, FLAGS_MARKS_SHIFT } from './sample-flags.ts';

/** Version of the tables; an archive of an older version is brought up to it when it is opened. */
export const SCHEMA_VERSION = 4;

/** Everything but the samples, which have a table for each month. Times are integer µs since 1970, UTC. */
export const SCHEMA = `
CREATE TABLE IF NOT EXISTS archive_format (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tags (
  id INTEGER NOT NULL, site VARCHAR NOT NULL, name VARCHAR NOT NULL, process VARCHAR NOT NULL,
  station VARCHAR NOT NULL, class VARCHAR NOT NULL, type VARCHAR NOT NULL, unit VARCHAR NOT NULL,
  formerly VARCHAR NOT NULL, scan_ms INTEGER);
CREATE TABLE IF NOT EXISTS dictionaries (
  id INTEGER NOT NULL, hash VARCHAR NOT NULL, content VARCHAR NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS dictionary_tags (
  dictionary INTEGER NOT NULL, tag_index INTEGER NOT NULL, tag INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS streams (
  id INTEGER NOT NULL, stream_id VARCHAR NOT NULL, boot_id VARCHAR NOT NULL, started_us BIGINT NOT NULL,
  previous VARCHAR, site VARCHAR NOT NULL, process VARCHAR NOT NULL, instance INTEGER NOT NULL,
  observed_until_us BIGINT NOT NULL, ended_us BIGINT, ended_sequence BIGINT);
CREATE TABLE IF NOT EXISTS stream_dictionaries (stream INTEGER NOT NULL, dictionary INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS coverage (
  stream INTEGER NOT NULL, first_sequence BIGINT NOT NULL, last_sequence BIGINT NOT NULL,
  state VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS time_gaps (
  stream INTEGER NOT NULL, sequence BIGINT NOT NULL, received_us BIGINT NOT NULL, station VARCHAR,
  tags VARCHAR NOT NULL, from_us BIGINT NOT NULL, to_us BIGINT NOT NULL, reason VARCHAR NOT NULL,
  count BIGINT, raw_from_us BIGINT, raw_to_us BIGINT, is_one_clock BOOLEAN);
CREATE TABLE IF NOT EXISTS clock_fixes (
  stream INTEGER NOT NULL, sequence BIGINT NOT NULL, at_us BIGINT NOT NULL, of_stream VARCHAR NOT NULL,
  first_sequence BIGINT NOT NULL, last_sequence BIGINT NOT NULL, offset_us BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS sequence_gaps (
  stream INTEGER NOT NULL, received_us BIGINT NOT NULL, first_sequence BIGINT NOT NULL,
  last_sequence BIGINT NOT NULL, reason VARCHAR NOT NULL, from_us BIGINT NOT NULL, to_us BIGINT NOT NULL,
  count_at_most BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS kernel_epochs (epoch BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS terms (
  site VARCHAR NOT NULL, process VARCHAR NOT NULL, term BIGINT NOT NULL, holder INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS stream_changes (
  stream INTEGER NOT NULL, name VARCHAR NOT NULL, first BIGINT NOT NULL, last BIGINT, state VARCHAR);
CREATE TABLE IF NOT EXISTS late_ranges (
  site VARCHAR NOT NULL, process VARCHAR NOT NULL, station VARCHAR NOT NULL, from_us BIGINT NOT NULL,
  to_us BIGINT NOT NULL, since_us BIGINT NOT NULL, completed_us BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS device_times (
  stream INTEGER NOT NULL, sequence BIGINT NOT NULL, device_us BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS sequence_values (
  stream INTEGER NOT NULL, name VARCHAR NOT NULL, first_sequence BIGINT NOT NULL,
  last_sequence BIGINT NOT NULL, value BIGINT NOT NULL);
`;

/**
 * Columns of a table of samples. Each one costs every sample, so there are few: `flags` holds the kind, the
 * cause and the marks; `value` every number that a float64 holds exactly, bools as 0 and 1; `text` texts,
 * and an int64 that a float64 does not hold as decimal digits. What is rare or the same for long runs is
 * elsewhere: `device_times`, and `sequence_values` with what the clock was off (`source_us` is corrected)
 * and the term.
 */
export const SAMPLE_COLUMNS = [
  ['tag', 'INTEGER'],
  ['source_us', 'BIGINT'],
  ['received_us', 'BIGINT'],
  ['flags', 'USMALLINT'],
  ['value', 'DOUBLE'],
  ['text', 'VARCHAR'],
  ['quality', 'UINTEGER'],
  ['stream', 'INTEGER'],
  ['sequence', 'BIGINT'],
] as const satisfies readonly (readonly [name: string, type: ColumnType])[];

export type SampleColumn = (typeof SAMPLE_COLUMNS)[number][0];

/** Of the rows that the default view shows: no other instance tells them better. */
export const NOT_MARKED = `(flags & ${OVERLAP_MARKS << FLAGS_MARKS_SHIFT}) = 0`;

/** An int64 beyond this, either way, is in `text`. */
export const INTEGER_IN_VALUE_MAX = Number.MAX_SAFE_INTEGER;

const TABLE_PREFIX = 'samples_';

/** A month of source time, UTC: half-open, with the name of its table. */
export interface Month {
  readonly table: string;
  readonly fromUs: number;
  readonly toUs: number;
}

/** The month that a time falls into. */
export function monthOf(timeUs: number): Month {
  const date = new Date(Math.floor(timeUs / 1000));
  return month(date.getUTCFullYear(), date.getUTCMonth());
}

/** The month of a table, or `undefined` if it is not a table of samples. */
export function monthOfTable(table: string): Month | undefined {
  const match = /^samples_(\d{4})_(\d\d)$/.exec(table);
  return match === null ? undefined : month(Number(match[1]), Number(match[2]) - 1);
}

function month(year: number, index: number): Month {
  const name = `${String(year).padStart(4, '0')}_${String(index + 1).padStart(2, '0')}`;
  return {
    table: `${TABLE_PREFIX}${name}`,
    fromUs: Date.UTC(year, index) * 1000,
    toUs: Date.UTC(year, index + 1) * 1000,
  };
}

export function createSamplesTable(table: string): string {
  const columns = SAMPLE_COLUMNS.map(([name, type]) => `${name} ${type}`);
  return `CREATE TABLE IF NOT EXISTS ${table} (${columns.join(', ')})`;
}

/**
 * The views for people who write SQL: names instead of numbers, one value column for each type. `samples`
 * has what there is to see, `samples_with_marked` also the rows that another instance tells better.
 */
export function createSamplesViews(tables: readonly string[]): string {
  return `${samplesView('samples', tables, `WHERE ${NOT_MARKED}`)};
    ${samplesView('samples_with_marked', tables, '')}`;
}

/** Where no month is left. */
export const DROP_SAMPLES_VIEWS = 'DROP VIEW IF EXISTS samples; DROP VIEW IF EXISTS samples_with_marked';

function samplesView(name: string, tables: readonly string[], filter: string): string {
  const source = tables.map((table) => `SELECT * FROM ${table} ${filter}`).join(' UNION ALL ');
  const causes = SAMPLE_CAUSES.map((cause) => `'${cause}'`).join(', ');
  const kind = `(r.flags & ${ENTRY_KIND_MASK})`;
  return `CREATE OR REPLACE VIEW ${name} AS SELECT
  t.site, t.process, t.station, t.name AS tag, make_timestamp(r.source_us) AS source_time,
  CASE WHEN ${kind} IN (${EntryKind.false}, ${EntryKind.true}) THEN r.value = 1 END AS value_bool,
  CASE WHEN ${kind} = ${EntryKind.int64} THEN coalesce(r.text::BIGINT, r.value::BIGINT) END AS value_int,
  CASE WHEN ${kind} = ${EntryKind.float64} THEN r.value END AS value_float,
  CASE WHEN ${kind} = ${EntryKind.text} THEN r.text END AS value_text,
  CASE WHEN r.quality < 1073741824 THEN 'good' WHEN r.quality < 2147483648 THEN 'uncertain' ELSE 'bad' END
    AS severity,
  r.quality AS quality_code,
  ([${causes}])[((r.flags >> ${ENTRY_CAUSE_SHIFT}) & ${CAUSE_MASK}) + 1] AS cause,
  make_timestamp(r.received_us) AS received_time, 
  make_timestamp(CASE WHEN r.flags & ${FLAGS_DEVICE_TIMED} <> 0 THEN r.source_us ELSE d.device_us END)
    AS device_time,
  make_timestamp(CASE WHEN r.flags & ${FLAGS_DEVICE_TIMED} <> 0 THEN r.source_us
    ELSE r.source_us - coalesce(o.value, 0) END) AS raw_time,
  s.stream_id AS stream, r.sequence, coalesce(m.value, 0) AS term, r.flags >> ${FLAGS_MARKS_SHIFT} AS marks
FROM (${source}) r JOIN tags t ON t.id = r.tag JOIN streams s ON s.id = r.stream
  LEFT JOIN device_times d ON d.stream = r.stream AND d.sequence = r.sequence
  LEFT JOIN sequence_values o ON o.name = 'clock-offset' AND o.stream = r.stream
    AND r.sequence BETWEEN o.first_sequence AND o.last_sequence
  LEFT JOIN sequence_values m ON m.name = 'term' AND m.stream = r.stream
    AND r.sequence BETWEEN m.first_sequence AND m.last_sequence`;
}
