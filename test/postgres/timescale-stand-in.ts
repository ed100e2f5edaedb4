import type { PostgresServer } from './server.ts';

const SCHEMA = 'extension_of_time';

/**
 * What a Kernel uses of TimescaleDB 2, which no package of the tests' machines has: the two functions, with
 * the names of arguments that its documentation gives, in a schema of their own, listed as an extension, and
 * of its view of chunks the columns that are used.
 * Chunks are not tables here, but two rules of theirs hold: no row is changed into another chunk, and only
 * whole chunks are dropped. It shows that the Kernel takes this path and what it asks for, not what
 * TimescaleDB makes of it.
 */
export function installTimescaleStandIn(server: PostgresServer): void {
  server.sql(`
CREATE SCHEMA ${SCHEMA};
GRANT USAGE ON SCHEMA ${SCHEMA} TO PUBLIC;
CREATE TABLE ${SCHEMA}.hypertables (
  relation regclass PRIMARY KEY, time_column name NOT NULL, chunk_interval interval NOT NULL);
GRANT SELECT, INSERT ON ${SCHEMA}.hypertables TO PUBLIC;

CREATE FUNCTION ${SCHEMA}.chunk_of(moment timestamptz, chunk interval) RETURNS timestamptz
  LANGUAGE sql IMMUTABLE
  AS $$ SELECT date_bin(chunk, moment, 'epoch'::timestamptz) $$;

CREATE FUNCTION ${SCHEMA}.stay_in_chunk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF ${SCHEMA}.chunk_of(old.source_time, tg_argv[0]::interval)
    <> ${SCHEMA}.chunk_of(new.source_time, tg_argv[0]::interval)
  THEN RAISE EXCEPTION 'new row violates the constraint of its chunk'; END IF;
  RETURN new;
END $$;

CREATE FUNCTION ${SCHEMA}.create_hypertable(
  relation regclass, time_column_name name, partitioning_column name = NULL, number_partitions integer = NULL,
  associated_schema_name name = NULL, associated_table_prefix name = NULL,
  chunk_time_interval anyelement = NULL::bigint, create_default_indexes boolean = true,
  if_not_exists boolean = false)
RETURNS TABLE (hypertable_id integer, schema_name name, table_name name, created boolean)
LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT relkind FROM pg_class WHERE oid = relation) <> 'r'
  THEN RAISE EXCEPTION 'table % is already partitioned', relation; END IF;
  INSERT INTO ${SCHEMA}.hypertables VALUES (relation, time_column_name, chunk_time_interval);
  EXECUTE format('CREATE TRIGGER chunk BEFORE UPDATE ON %s FOR EACH ROW
    EXECUTE FUNCTION ${SCHEMA}.stay_in_chunk(%L)', relation, chunk_time_interval);
  RETURN QUERY SELECT 1, n.nspname, c.relname, true
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation;
END $$;

CREATE FUNCTION ${SCHEMA}.drop_chunks(
  relation regclass, older_than anyelement = NULL::timestamptz, newer_than anyelement = NULL,
  verbose boolean = false) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  table_of ${SCHEMA}.hypertables;
BEGIN
  SELECT * INTO STRICT table_of FROM ${SCHEMA}.hypertables h WHERE h.relation = drop_chunks.relation;
  RETURN QUERY EXECUTE format('WITH gone AS (
    DELETE FROM %1$s WHERE ${SCHEMA}.chunk_of(%2$I, %3$L) + %3$L::interval <= $1
      AND ${SCHEMA}.chunk_of(%2$I, %3$L) >= coalesce($2, ''-infinity'') RETURNING %2$I AS moment)
    SELECT DISTINCT ${SCHEMA}.chunk_of(moment, %3$L)::text FROM gone',
    relation, table_of.time_column, table_of.chunk_interval) USING older_than, newer_than;
END $$;

CREATE FUNCTION ${SCHEMA}.chunks_of(table_of ${SCHEMA}.hypertables)
RETURNS SETOF timestamptz LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE format('SELECT DISTINCT ${SCHEMA}.chunk_of(%I, %L) FROM %s',
    table_of.time_column, table_of.chunk_interval, table_of.relation);
END $$;
CREATE SCHEMA timescaledb_information;
GRANT USAGE ON SCHEMA timescaledb_information TO PUBLIC;
CREATE VIEW timescaledb_information.chunks AS
  SELECT n.nspname AS hypertable_schema, c.relname AS hypertable_name, start AS range_start,
    start + h.chunk_interval AS range_end
  FROM ${SCHEMA}.hypertables h JOIN pg_class c ON c.oid = h.relation
    JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL ${SCHEMA}.chunks_of(h) start
  WHERE pg_has_role(c.relowner, 'USAGE');
GRANT SELECT ON timescaledb_information.chunks TO PUBLIC;

SET allow_system_table_mods = on;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
  SELECT 987654, 'timescaledb', 10, oid, false, 'stand-in' FROM pg_namespace WHERE nspname = '${SCHEMA}';
`);
}

/** Tables that were made hypertables, with the length of their chunks. */
export function hypertables(server: PostgresServer): string[] {
  return server.sql(`SELECT relation, time_column, chunk_interval FROM ${SCHEMA}.hypertables ORDER BY 1`);
}
