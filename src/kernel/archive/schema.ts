import { EntryKind } from '../../domain/block/block.ts';
import { SAMPLE_CAUSES } from '../../domain/sample.ts';
import type { ColumnType } from './duckdb.ts';

/** Version of the tables; an archive of an older version is brought up to it when it is opened. */
export const SCHEMA_VERSION = 2;

/** Everything but the samples, which have a table for each month. Times are integer µs since 1970, UTC. */
export const SCHEMA = `
CREATE TABLE IF NOT EXISTS archive_format (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tags (
  id INTEGER NOT NULL, site VARCHAR NOT NULL, name VARCHAR NOT NULL, process VARCHAR NOT NULL,
  station VARCHAR NOT NULL, class VARCHAR NOT NULL, type VARCHAR NOT NULL, unit VARCHAR NOT NULL,
  formerly VARCHAR NOT NULL);
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
  count BIGINT, raw_from_us BIGINT, raw_to_us BIGINT);
CREATE TABLE IF NOT EXISTS sequence_gaps (
  stream INTEGER NOT NULL, received_us BIGINT NOT NULL, first_sequence BIGINT NOT NULL,
  last_sequence BIGINT NOT NULL, reason VARCHAR NOT NULL, from_us BIGINT NOT NULL, to_us BIGINT NOT NULL,
  count_at_most BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS clock_offsets (
  stream INTEGER NOT NULL, first_sequence BIGINT NOT NULL, last_sequence BIGINT NOT NULL,
  offset_us BIGINT NOT NULL);
`;

/**
 * Columns of a table of samples. Only `value_text` may be null: writing nulls into a chunk costs more than
 * writing values, so `kind` says which column holds the value (a bool is 0 or 1 in `value_int`) and a device
 * time that does not differ from the source time is `NO_DEVICE_TIME`. `source_us` is corrected: the raw time
 * is `source_us - offset_us`.
 */
export const SAMPLE_COLUMNS = [
  ['tag', 'INTEGER'],
  ['source_us', 'BIGINT'],
  ['received_us', 'BIGINT'],
  ['device_us', 'BIGINT'],
  ['kind', 'UTINYINT'],
  ['value_int', 'BIGINT'],
  ['value_float', 'DOUBLE'],
  ['value_text', 'VARCHAR'],
  ['quality', 'UINTEGER'],
  ['cause', 'UTINYINT'],
  ['stream', 'INTEGER'],
  ['sequence', 'BIGINT'],
  ['marks', 'UTINYINT'],
  ['offset_us', 'BIGINT'],
  ['term', 'INTEGER'],
] as const satisfies readonly (readonly [name: string, type: ColumnType])[];

export type SampleColumn = (typeof SAMPLE_COLUMNS)[number][0];

/** In `device_us`: the device's time is the source time. Outside of what a time can be. */
export const NO_DEVICE_TIME = -(2n ** 63n);

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

/** The view for people who write SQL: names instead of numbers, one value column for each type. */
export function createSamplesView(tables: readonly string[]): string {
  const source = tables.map((table) => `SELECT * FROM ${table}`).join(' UNION ALL ');
  const causes = SAMPLE_CAUSES.map((cause) => `'${cause}'`).join(', ');
  return `CREATE OR REPLACE VIEW samples AS SELECT
  t.site, t.process, t.station, t.name AS tag, make_timestamp(r.source_us) AS source_time,
  CASE WHEN r.kind IN (${EntryKind.false}, ${EntryKind.true}) THEN r.value_int = 1 END AS value_bool,
  CASE WHEN r.kind = ${EntryKind.int64} THEN r.value_int END AS value_int,
  CASE WHEN r.kind = ${EntryKind.float64} THEN r.value_float END AS value_float,
  r.value_text,
  CASE WHEN r.quality < 1073741824 THEN 'good' WHEN r.quality < 2147483648 THEN 'uncertain' ELSE 'bad' END
    AS severity,
  r.quality AS quality_code, ([${causes}])[r.cause + 1] AS cause,
  make_timestamp(r.received_us) AS received_time,
  CASE WHEN r.device_us <> ${NO_DEVICE_TIME} THEN make_timestamp(r.device_us) END AS device_time,
  s.stream_id AS stream, r.sequence, r.marks, r.term,
  make_timestamp(r.source_us - r.offset_us) AS raw_time
FROM (${source}) r JOIN tags t ON t.id = r.tag JOIN streams s ON s.id = r.stream`;
}
