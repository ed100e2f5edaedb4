/** Statements that make the tables of a schema those of version 1. */
export function backToVersion1(schema: string): string {
  return `${backToVersion3(schema)} UPDATE archive_format SET version = 1;
    DROP TABLE clock_fixes, kernels; DROP INDEX time_gaps_stream_sequence_idx;
    ALTER TABLE archive_state DROP COLUMN hot, DROP COLUMN next_hot;`;
}

/** Those of version 3, whose months go by the times of values alone; version 2 had other functions only. */
export function backToVersion3(schema: string): string {
  return `SET search_path = ${schema}; UPDATE archive_format SET version = 3;
    DROP INDEX sample_rows_received_time_idx;
    DROP FUNCTION index_samples_before(timestamptz), analyse_samples();
    CREATE OR REPLACE FUNCTION drop_samples_before(moment timestamptz) RETURNS integer
      LANGUAGE plpgsql SECURITY DEFINER SET search_path = ${schema}, pg_temp AS $$
    DECLARE
      month text;
      dropped integer := 0;
    BEGIN
      FOR month IN SELECT inhrelid::regclass FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'sample_rows'::regclass
          AND to_date(substring(c.relname FROM '[0-9]{4}_[0-9]{2}$'), 'YYYY_MM') < moment
      LOOP
        EXECUTE format('DROP TABLE %s', month);
        dropped := dropped + 1;
      END LOOP;
      RETURN dropped;
    END $$;`;
}
