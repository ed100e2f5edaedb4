import { ENTRY_CAUSE_SHIFT, ENTRY_KIND_MASK, EntryKind } from '../../../domain/block/block.ts';
import { OVERLAP_MARKS } from '../../../domain/overlap.ts';
import { Quality } from '../../../domain/quality.ts';
import { SAMPLE_CAUSES } from '../../../domain/sample.ts';
import { CAUSE_MASK, FLAGS_DEVICE_TIMED, FLAGS_MARKS_SHIFT } from '../sample-flags.ts';
import { identifier, literal } from './connection.ts';

/** Version of the tables; those of an older version are brought up to it at the start of a Kernel. */
export const SCHEMA_VERSION = 4;

/** Tables that were not brought up are of use from this version on: they only lack what `VERSION_4` says. */
export const USABLE_VERSION_MIN = 3;

/** Tables older than this have no functions for their upkeep. */
export const UPKEEP_VERSION_MIN = 4;

/** The table of all samples; `samples` is the view that people ask. */
export const SAMPLES = 'sample_rows';

/** Of the rows that the default view shows: no other instance tells them better, as far as they say. */
export const NOT_MARKED = `coalesce(r.flags & ${OVERLAP_MARKS << FLAGS_MARKS_SHIFT}, 0) = 0`;

/** The column that has the value of a row; no entry: a row of that kind has none. */
export const COLUMN_OF_KIND: ReadonlyMap<number, string> = new Map([
  [EntryKind.false, 'value_bool'],
  [EntryKind.true, 'value_bool'],
  [EntryKind.int64, 'value_int'],
  [EntryKind.float64, 'value_float'],
  [EntryKind.text, 'value_text'],
]);

const IS_EMPTY = [...COLUMN_OF_KIND].map(([kind, column]) => `WHEN ${kind} THEN r.${column} IS NULL`);

/**
 * Whether a row `r` lacks what every row of its kind was written with: somebody has emptied a column of it.
 * That is never told as 0, false, an empty text or good.
 */
export const IS_DAMAGED = `(r.flags IS NULL OR r.quality IS NULL OR r.received_time IS NULL
  OR CASE r.flags & ${ENTRY_KIND_MASK} ${IS_EMPTY.join(' ')} ELSE false END)`;

/** The quality of a row `r` where its value is not told. */
export const QUALITY = `CASE WHEN ${IS_DAMAGED} THEN ${Quality.bad} ELSE r.quality END`;

/** Columns of a row of samples in the order of COPY. */
export const SAMPLE_COLUMNS = [
  'tag',
  'source_time',
  'received_time',
  'quality',
  'sequence',
  'stream',
  'flags',
  'device_time',
  'value_bool',
  'value_int',
  'value_float',
  'value_text',
  'value_bytes',
] as const;

/** The same with their types, in the order in which they lie in a row. */
export const SAMPLE_TYPES: readonly (readonly [
  name: (typeof SAMPLE_COLUMNS)[number],
  type: string,
  isNull?: 'null',
])[] = [
  ['source_time', 'timestamptz'],
  ['received_time', 'timestamptz'],
  ['quality', 'bigint'],
  ['sequence', 'bigint'],
  ['tag', 'integer'],
  ['stream', 'integer'],
  ['value_float', 'double precision', 'null'],
  ['value_int', 'bigint', 'null'],
  ['device_time', 'timestamptz', 'null'],
  ['flags', 'smallint'],
  ['value_bool', 'boolean', 'null'],
  ['value_text', 'text', 'null'],
  ['value_bytes', 'bytea', 'null'],
];

/** Tables that a Kernel writes. */
export const WRITTEN = [
  SAMPLES,
  ...['tags', 'dictionaries', 'dictionary_tags', 'streams', 'stream_dictionaries', 'coverage'],
  ...['time_gaps', 'sequence_gaps', 'sequence_values', 'clock_fixes', 'late_ranges', 'terms'],
  ...['archive_state', 'kernels'],
];
/** What people read. */
export const VIEWS = ['samples', 'samples_with_marked', 'latest_values'];
/** What a Kernel only reads. */
export const READ = ['archive_format', ...VIEWS];

/**
 * What version 2 has more: the entries of clock fixes, which have numbers as samples do, and which of several
 * Kernels is hot, see `role-session.ts`.
 */
export const VERSION_2 = `
CREATE TABLE clock_fixes (
  stream integer NOT NULL, sequence bigint NOT NULL, at_time timestamptz NOT NULL,
  of_stream text COLLATE "C" NOT NULL, first_sequence bigint NOT NULL, last_sequence bigint NOT NULL,
  offset_us bigint NOT NULL);
CREATE INDEX ON clock_fixes (stream, sequence);
CREATE INDEX ON time_gaps (stream, sequence);
ALTER TABLE archive_state ADD hot text NOT NULL DEFAULT '', ADD next_hot text NOT NULL DEFAULT '';
CREATE TABLE kernels (
  name text COLLATE "C" PRIMARY KEY, pid integer NOT NULL, started timestamptz NOT NULL);`;

/**
 * What version 4 has more, next to its functions: by the index a month shows within a few pages whether
 * anything in it was received since a time. Months that are there already get theirs once that matters, see
 * `index_samples_before`: to make all of them reads the whole archive. The chunks of a hypertable go without.
 */
export const VERSION_4 = `CREATE INDEX ON ONLY ${SAMPLES} USING brin (received_time);`;

/** Makes everything but the samples, in the schema of the search path. */
export function createTables(): string {
  return `
CREATE TABLE archive_format (version integer NOT NULL, is_hypertable boolean NOT NULL);
CREATE TABLE archive_state (
  generation bigint NOT NULL, writer_pid integer, writer_started timestamptz, kernel_epoch bigint NOT NULL);
INSERT INTO archive_state VALUES (0, NULL, NULL, 0);
CREATE TABLE tags (
  id integer PRIMARY KEY, site text NOT NULL, name text NOT NULL, process text NOT NULL,
  station text NOT NULL, class text NOT NULL, type text NOT NULL, unit text NOT NULL,
  formerly text[] NOT NULL, scan_ms double precision);
CREATE TABLE dictionaries (
  id integer PRIMARY KEY, hash text NOT NULL, content text NOT NULL, bytes bytea NOT NULL);
CREATE TABLE dictionary_tags (
  dictionary integer NOT NULL, tag_index integer NOT NULL, tag integer NOT NULL,
  PRIMARY KEY (dictionary, tag_index));
CREATE INDEX ON dictionary_tags (tag);
CREATE TABLE streams (
  id integer PRIMARY KEY, stream_id text COLLATE "C" NOT NULL, boot_id text NOT NULL,
  started_time timestamptz NOT NULL, previous jsonb, site text NOT NULL, process text NOT NULL,
  instance integer NOT NULL, observed_until timestamptz NOT NULL, ended_time timestamptz,
  ended_sequence bigint, rows_from timestamptz, rows_to timestamptz);
CREATE TABLE stream_dictionaries (
  stream integer NOT NULL, dictionary integer NOT NULL, PRIMARY KEY (stream, dictionary));
CREATE TABLE coverage (
  stream integer NOT NULL, first_sequence bigint NOT NULL, last_sequence bigint NOT NULL,
  state text NOT NULL, PRIMARY KEY (stream, first_sequence)) WITH (fillfactor = 50);
CREATE TABLE time_gaps (
  stream integer NOT NULL, sequence bigint NOT NULL, received_time timestamptz NOT NULL, station text,
  tags text[] NOT NULL, from_time timestamptz NOT NULL, to_time timestamptz NOT NULL, reason text NOT NULL,
  count bigint, raw_from_time timestamptz NOT NULL, raw_to_time timestamptz NOT NULL,
  is_one_clock boolean NOT NULL);
CREATE INDEX ON time_gaps (stream, to_time);
CREATE TABLE sequence_gaps (
  stream integer NOT NULL, received_time timestamptz NOT NULL, first_sequence bigint NOT NULL,
  last_sequence bigint NOT NULL, reason text NOT NULL, from_time timestamptz NOT NULL,
  to_time timestamptz NOT NULL, count_at_most bigint NOT NULL);
CREATE INDEX ON sequence_gaps (stream, to_time);
CREATE TABLE sequence_values (
  stream integer NOT NULL, name text NOT NULL, first_sequence bigint NOT NULL,
  last_sequence bigint NOT NULL, value bigint NOT NULL, PRIMARY KEY (stream, name, first_sequence));
CREATE TABLE late_ranges (
  id bigint PRIMARY KEY, site text NOT NULL, process text NOT NULL, station text NOT NULL,
  from_time timestamptz NOT NULL, to_time timestamptz NOT NULL, since timestamptz NOT NULL,
  completed_time timestamptz NOT NULL, is_announced boolean NOT NULL);
CREATE TABLE terms (
  site text NOT NULL, process text NOT NULL, term bigint NOT NULL, holder integer NOT NULL,
  PRIMARY KEY (site, process));${VERSION_2}`;
}

/**
 * The samples: one typed column for each type of value, of which at most one is set; without a unique index,
 * because the coverage of the streams already tells what is new. The first index is for questions about a
 * tag. The second one is a few pages and finds rows by their stream and number, which clock fixes, repairs
 * and comparisons of instances need; the third one, for retention, finds what was received since a time.
 * `value_bytes` is the UTF-8 of a text that PostgreSQL's text cannot
 * hold. `timescale`: the schema of TimescaleDB where the database has it.
 */
export function createSamples(timescale: string | null): string {
  const partitioned = timescale === null ? ' PARTITION BY RANGE (source_time)' : '';
  const columns = SAMPLE_TYPES.map(([name, type, may]) => `${name} ${type} ${may ?? 'NOT NULL'}`);
  const hypertable = `
SELECT ${identifier(timescale ?? '')}.create_hypertable('${SAMPLES}', 'source_time',
  chunk_time_interval => interval '7 days', create_default_indexes => false);`;
  return `
CREATE TABLE ${SAMPLES} (${columns.join(', ')})${partitioned};
CREATE INDEX ON ${SAMPLES} (tag, source_time);
CREATE INDEX ON ${SAMPLES} USING brin (stream, source_time, sequence)
  WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX ON ${SAMPLES} USING brin (received_time);
${timescale === null ? '' : hypertable}`;
}

/** What each of the views reads of the samples. */
export const VIEW_READS = SAMPLE_COLUMNS.filter((column) => column !== 'value_bytes');

/**
 * The views for people who write SQL: names instead of numbers. `samples` has what there is to see,
 * `samples_with_marked` also the rows that another instance tells better, `latest_values` of each tag the
 * newest row by source time. A column that is not asked for costs nothing. What reads other columns than
 * `VIEW_READS` is found by `views.ts`.
 */
export function createViews(): string {
  const shown = `WHERE ${NOT_MARKED}`;
  const former = 'SELECT 1 FROM tags n WHERE n.site = t.site AND t.name = ANY (n.formerly)';
  const newest = `SELECT ${VIEW_READS.join(', ')} FROM ${SAMPLES} r WHERE r.tag = t.id AND ${NOT_MARKED}
    ORDER BY r.source_time DESC, r.stream DESC, r.sequence DESC LIMIT 1`;
  const from = `${SAMPLES} r JOIN tags t ON t.id = r.tag JOIN streams s ON s.id = r.stream`;
  return `
CREATE OR REPLACE VIEW samples AS SELECT ${viewColumns()} FROM ${from} ${shown};
CREATE OR REPLACE VIEW samples_with_marked AS SELECT ${viewColumns()} FROM ${from};
CREATE OR REPLACE VIEW latest_values AS SELECT ${viewColumns()}
FROM tags t CROSS JOIN LATERAL (${newest}) r JOIN streams s ON s.id = r.stream WHERE NOT EXISTS (${former});`;
}

function viewColumns(): string {
  const causes = `ARRAY[${SAMPLE_CAUSES.map(literal).join(', ')}]`;
  const isDeviceTimed = `r.flags & ${FLAGS_DEVICE_TIMED} <> 0`;
  const step = (name: string): string => `coalesce((SELECT v.value FROM sequence_values v
    WHERE v.stream = r.stream AND v.name = '${name}'
      AND r.sequence BETWEEN v.first_sequence AND v.last_sequence), 0)`;
  return `t.site, t.process, t.station, t.name AS tag, r.source_time,
  r.value_bool, r.value_int, r.value_float, r.value_text,
  CASE WHEN ${IS_DAMAGED} THEN 'bad'
    WHEN r.quality < 1073741824 THEN 'good' WHEN r.quality < 2147483648 THEN 'uncertain' ELSE 'bad' END
    AS severity,
  ${QUALITY} AS quality_code,
  (${causes})[((r.flags >> ${ENTRY_CAUSE_SHIFT}) & ${CAUSE_MASK}) + 1] AS cause,
  r.received_time, CASE WHEN ${isDeviceTimed} THEN r.source_time ELSE r.device_time END AS device_time,
  CASE WHEN ${isDeviceTimed} THEN r.source_time
    ELSE r.source_time - ${step('clock-offset')} * interval '1 microsecond' END AS raw_time,
  s.stream_id AS stream, r.sequence, ${step('term')} AS term,
  (r.flags >> ${FLAGS_MARKS_SHIFT})::integer AS marks`;
}
