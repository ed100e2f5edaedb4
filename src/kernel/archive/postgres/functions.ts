import { identifier } from './connection.ts';
import { READ, SAMPLES, WRITTEN } from './schema.ts';

/** What the owner's functions are called by, for rights. */
const FUNCTIONS = [
  'add_samples_month(timestamptz)',
  'index_samples_before(timestamptz)',
  'drop_samples_before(timestamptz, timestamptz)',
  'samples_months()',
  'analyse_samples()',
].join(', ');

/** Rows that came to a month before it is looked at anew. */
const LOOKED_AT_ROWS = 100_000;
/** A month is analysed anew when such a part of its rows came since: one of so many. */
const ANALYSED_PART = 3;

/** What the functions are made from. */
interface Made {
  /** How each of them is declared: it works as the owner, and finds nothing but what is in the schema. */
  readonly declared: string;
  /** The schema of TimescaleDB where the samples are a hypertable. */
  readonly timescale: string | null;
}

/**
 * What only the owner may do, for whoever may write: months are made, dropped and looked at, those of the
 * samples and nothing else.
 */
export function createFunctions(schema: string, timescale: string | null): string {
  const declared = `LANGUAGE plpgsql SECURITY DEFINER SET search_path = ${identifier(schema)}, pg_temp`;
  const made = { declared, timescale };
  return `DROP FUNCTION IF EXISTS drop_samples_before(timestamptz);
${addMonth(made)} ${listMonths(made)} ${indexMonth(made)}
${timescale === null ? dropMonths(made) : dropChunks(made, timescale)} ${analyseMonths(made)}
REVOKE ALL ON FUNCTION ${FUNCTIONS} FROM PUBLIC;`;
}

/** The start of the month of a time, UTC, without a time zone. */
const MONTH = `date_trunc('month', moment AT TIME ZONE 'UTC')`;

/**
 * A month is there where one partition takes all of it, whatever its name: somebody may have made it. A table
 * with the name of a month is none that takes its rows: somebody may have detached it; the new month has
 * another name then.
 */
function addMonth({ declared, timescale }: Made): string {
  return `
CREATE OR REPLACE FUNCTION add_samples_month(moment timestamptz) RETURNS void ${declared} AS $body$
DECLARE
  first timestamp := ${MONTH};
  start timestamptz := first AT TIME ZONE 'UTC';
  behind timestamptz := (first + interval '1 month') AT TIME ZONE 'UTC';
  name text := '${SAMPLES}_' || to_char(first, 'YYYY_MM');
  free text := name;
  again integer := 1;
  bound text;
  is_there boolean := ${timescale !== null};
BEGIN
  FOR bound IN SELECT pg_get_partition_constraintdef(inhrelid) FROM pg_inherits
    WHERE inhparent = '${SAMPLES}'::regclass AND NOT inhdetachpending
  LOOP
    EXECUTE format('SELECT $3 OR (SELECT bool_and(%s) FROM (VALUES ($1), ($2)) m (source_time))', bound)
      INTO is_there USING start, behind - interval '1 microsecond', is_there;
  END LOOP;
  IF is_there THEN RETURN; END IF;
  WHILE to_regclass(quote_ident(free)) IS NOT NULL LOOP
    again := again + 1;
    free := name || '_' || again;
  END LOOP;
  EXECUTE format('CREATE TABLE %I (LIKE ${SAMPLES})', free);
  EXECUTE format('ALTER TABLE ${SAMPLES} ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
    free, start, behind);
END $body$;`;
}

/** Starts of months by the partitions that `add_samples_month` has made. */
export const PARTITION_MONTHS = `SELECT to_date(month, 'YYYY_MM')::timestamp AT TIME ZONE 'UTC' AS start
  FROM (SELECT substring(c.relname FROM '^${SAMPLES}_([0-9]{4}_(?:0[1-9]|1[0-2]))(?:_[0-9]+)?$') AS month
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = '${SAMPLES}'::regclass AND NOT i.inhdetachpending) m
  WHERE month IS NOT NULL`;

/** Starts of chunks; whoever only writes does not see all of them. */
export const CHUNKS = `SELECT range_start AS start FROM timescaledb_information.chunks
  WHERE hypertable_schema = current_schema() AND hypertable_name = '${SAMPLES}'`;

function listMonths({ declared, timescale }: Made): string {
  return `
CREATE OR REPLACE FUNCTION samples_months() RETURNS SETOF timestamptz ${declared} AS $body$
BEGIN
  RETURN QUERY ${timescale === null ? PARTITION_MONTHS : CHUNKS};
END $body$;`;
}

/** Months before that of a time: only what `add_samples_month` has made, by its name. */
const OLD_MONTHS = `SELECT c.oid::regclass AS month, c.relname AS name, EXISTS (
      SELECT FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
      WHERE x.indrelid = c.oid AND x.indisvalid AND a.attname = 'received_time') AS is_indexed
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = '${SAMPLES}'::regclass AND NOT i.inhdetachpending AND to_date(substring(c.relname
      FROM '^${SAMPLES}_([0-9]{4}_(0[1-9]|1[0-2]))(_[0-9]+)?$'), 'YYYY_MM') < ${MONTH}`;

/**
 * Makes the index that `drop_samples_before` goes by for the first old month that is of older tables and has
 * none. It reads that month, so it is not for the transaction that agents wait for.
 */
function indexMonth({ declared, timescale }: Made): string {
  const none = 'RETURN false;';
  const make = `SELECT o.month INTO month FROM (${OLD_MONTHS}) o WHERE NOT is_indexed ORDER BY name LIMIT 1;
  IF month IS NULL THEN RETURN false; END IF;
  EXECUTE format('CREATE INDEX ON %s USING brin (received_time)', month);
  RETURN true;`;
  return `
CREATE OR REPLACE FUNCTION index_samples_before(moment timestamptz) RETURNS boolean ${declared} AS $body$
DECLARE
  month regclass;
BEGIN
  ${timescale === null ? make : none}
END $body$;`;
}

/**
 * Old months of which nothing was received since another time: what a device brings whose clock is years
 * behind stays as long as anything else. Without statistics the index would not be taken.
 */
function dropMonths({ declared }: Made): string {
  return `
CREATE OR REPLACE FUNCTION drop_samples_before(moment timestamptz, received timestamptz)
  RETURNS integer ${declared}
  SET enable_seqscan = off AS $body$
DECLARE
  month regclass;
  is_fresh boolean;
  dropped integer := 0;
BEGIN
  FOR month IN SELECT o.month FROM (${OLD_MONTHS}) o WHERE is_indexed ORDER BY name
  LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE received_time >= $1)', month)
      INTO is_fresh USING received;
    CONTINUE WHEN is_fresh;
    EXECUTE format('DROP TABLE %s', month);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END $body$;`;
}

/** The same with the chunks of TimescaleDB, each by its bounds. */
function dropChunks({ declared }: Made, timescale: string): string {
  return `
CREATE OR REPLACE FUNCTION drop_samples_before(moment timestamptz, received timestamptz)
  RETURNS integer ${declared}
  SET enable_seqscan = off AS $body$
DECLARE
  chunk record;
  dropped integer := 0;
BEGIN
  FOR chunk IN SELECT range_start AS start, range_end AS behind FROM timescaledb_information.chunks
    WHERE hypertable_schema = current_schema() AND hypertable_name = '${SAMPLES}' AND range_end <= moment
    ORDER BY range_start
  LOOP
    CONTINUE WHEN EXISTS (SELECT FROM ${SAMPLES} WHERE source_time >= chunk.start
      AND source_time < chunk.behind AND received_time >= received);
    PERFORM ${identifier(timescale)}.drop_chunks('${SAMPLES}',
      older_than => chunk.behind, newer_than => chunk.start);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END $body$;`;
}

/**
 * What the server does by itself some minutes after many rows came to a month: until then it neither takes
 * the indexes nor has summaries of the pages in those that go by pages. Months that somebody works on are
 * left to him, who may be autovacuum: it would be broken off for whoever waits.
 */
function analyseMonths({ declared }: Made): string {
  return `
CREATE OR REPLACE FUNCTION analyse_samples() RETURNS integer ${declared} AS $body$
DECLARE
  month record;
  by_pages regclass;
  analysed integer := 0;
BEGIN
  FOR month IN SELECT s.relid::regclass AS name,
      s.n_mod_since_analyze >= greatest(s.n_live_tup / ${ANALYSED_PART}, ${LOOKED_AT_ROWS}) AS is_due
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_stat_all_tables s ON s.relid = c.oid
    WHERE i.inhparent = '${SAMPLES}'::regclass AND NOT i.inhdetachpending AND c.relkind = 'r'
      AND pg_has_role(c.relowner, 'USAGE')
      AND greatest(s.n_mod_since_analyze, s.n_ins_since_vacuum) >= ${LOOKED_AT_ROWS}
  LOOP
    BEGIN
      EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE NOWAIT', month.name);
    EXCEPTION WHEN lock_not_available OR undefined_table THEN CONTINUE;
    END;
    FOR by_pages IN SELECT x.indexrelid FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
      JOIN pg_am a ON a.oid = c.relam WHERE x.indrelid = month.name AND x.indisvalid AND a.amname = 'brin'
    LOOP
      PERFORM brin_summarize_new_values(by_pages);
    END LOOP;
    CONTINUE WHEN NOT month.is_due;
    EXECUTE format('ANALYZE %s', month.name);
    analysed := analysed + 1;
  END LOOP;
  RETURN analysed;
END $body$;`;
}

/** What a Kernel needs that is not the owner, and no more. */
export function grantTo(schema: string, user: string): string {
  const name = identifier(user);
  return `
GRANT USAGE ON SCHEMA ${identifier(schema)} TO ${name};
GRANT SELECT, INSERT, UPDATE, DELETE ON ${WRITTEN.join(', ')} TO ${name};
GRANT SELECT ON ${READ.join(', ')} TO ${name};
GRANT EXECUTE ON FUNCTION ${FUNCTIONS} TO ${name};`;
}
