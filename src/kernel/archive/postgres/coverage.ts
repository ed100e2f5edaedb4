import { EMPTY_COVERAGE } from '../../../domain/coverage.ts';
import { coverageRows } from '../changed.ts';
import { streamNumber } from '../register-work.ts';
import { DatabaseError } from './connection.ts';
import type { PostgresWriter } from './writer.ts';

/** A range as it is to be, and as it was; a zero and an empty text where it is not there then. */
type RangeRow = readonly [
  stream: number,
  first: number,
  last: number,
  state: string,
  wasLast: number,
  wasState: string,
];

const COLUMN_TYPES = ['integer', 'bigint', 'bigint', 'text', 'bigint', 'text'];

const GIVEN = `unnest(${COLUMN_TYPES.map((type, index) => `$${index + 1}::${type}[]`).join(', ')})
  AS g (stream, first_sequence, last_sequence, state, was_last, was_state)`;

const IS_AS_IT_WAS = `c.stream = g.stream AND c.first_sequence = g.first_sequence
  AND c.last_sequence = g.was_last AND c.state = g.was_state`;

const DELETE = `DELETE FROM coverage c USING ${GIVEN} WHERE ${IS_AS_IT_WAS} RETURNING 1 AS done`;
const UPDATE = `UPDATE coverage c SET last_sequence = g.last_sequence, state = g.state
  FROM ${GIVEN} WHERE ${IS_AS_IT_WAS} RETURNING 1 AS done`;
const INSERT = `INSERT INTO coverage SELECT g.stream, g.first_sequence, g.last_sequence, g.state
  FROM ${GIVEN} ON CONFLICT DO NOTHING RETURNING 1 AS done`;

/**
 * Writes what a transaction makes of the coverage, where it is stored as it is in memory. If it is not,
 * somebody has put other rows into the tables, from a backup for example: nothing that is in memory holds
 * then, and it is read anew. Mostly it is one statement: ranges that go on.
 * @throws DatabaseError and gives the connection up
 */
export async function writeCoverage(writer: PostgresWriter): Promise<void> {
  const { plan, catalog } = writer;
  const goneRows: RangeRow[] = [];
  const changedRows: RangeRow[] = [];
  const addedRows: RangeRow[] = [];
  for (const [streamId, coverage] of plan.coverage) {
    const stream = streamNumber(writer, streamId);
    const before = catalog.coverage.get(streamId) ?? EMPTY_COVERAGE;
    const known = new Map(before.map((range) => [range.first, range]));
    const { changed, gone } = coverageRows(before, coverage);
    for (const { first, last, state } of changed) {
      const was = known.get(first);
      if (was === undefined) addedRows.push([stream, first, last, state, 0, '']);
      else changedRows.push([stream, first, last, state, was.last, was.state]);
    }
    for (const first of gone) {
      const was = known.get(first);
      goneRows.push([stream, first, 0, '', was?.last ?? 0, was?.state ?? '']);
    }
  }
  await writeRows(writer, DELETE, goneRows);
  await writeRows(writer, UPDATE, changedRows);
  await writeRows(writer, INSERT, addedRows);
}

async function writeRows({ session }: PostgresWriter, sql: string, rows: readonly RangeRow[]): Promise<void> {
  if (rows.length === 0) return;
  const done = await session.query(
    sql,
    COLUMN_TYPES.map((_, column) => rows.map((row) => row[column] ?? null)),
  );
  if (done.length === rows.length) return;
  const why = 'the tables have another coverage than was archived: somebody has put other rows into them';
  session.connection.giveUp(why);
  throw new DatabaseError(why, null);
}
