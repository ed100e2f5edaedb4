/** Statements that make the tables of a schema those of version 1. */
export function backToVersion1(schema: string): string {
  return `SET search_path = ${schema}; UPDATE archive_format SET version = 1;
    DROP TABLE clock_fixes, kernels; DROP INDEX time_gaps_stream_sequence_idx;
    ALTER TABLE archive_state DROP COLUMN hot, DROP COLUMN next_hot;`;
}
