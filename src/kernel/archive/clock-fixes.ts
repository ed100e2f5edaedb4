import type { ArchivedClockFix } from '../../domain/clock-offsets.ts';
import { CONCLUDED_REASONS } from '../../domain/gap.ts';
import { STARTED_BY_ANOTHER_CLOCK } from '../../domain/sample.ts';
import { type SequenceSteps, stepsWithin } from '../../domain/sequence-steps.ts';
import { integerOf } from './columns.ts';
import type { Database } from './duckdb.ts';
import type { MovedStartOfStreams } from './register-work.ts';
import { FLAGS_DEVICE_TIMED } from './sample-flags.ts';
import { createSamplesTable, monthOf, monthOfTable } from './schema.ts';

/** A time that a device gave is not the agent's to correct. */
const STAMPED = `flags & ${FLAGS_DEVICE_TIMED} = 0`;

/** What a fix needs of the transaction that it is part of. */
export interface ClockFixing {
  readonly database: Database;
  /** Tables of samples that there are; those that a fix has to make are added. */
  readonly tables: Set<string>;
  /** Small id of the stream. */
  readonly stream: number;
  /** What was corrected before. */
  readonly offsets: SequenceSteps;
}

/** Moves the times of everything that is archived in the range of a fix. Idempotent. */
export async function applyClockFix(fixing: ClockFixing, fix: ArchivedClockFix): Promise<void> {
  const { database, stream, offsets } = fixing;
  const range = { first: fix.firstSequence, last: fix.lastSequence };
  for (const { first, last, value } of stepsWithin(offsets, range)) {
    const byUs = fix.offsetUs - value;
    if (byUs !== 0) await moveSamples(fixing, `${rangeFilter(stream, first, last)} AND ${STAMPED}`, byUs);
  }
  const reasons = [...STARTED_BY_ANOTHER_CLOCK].map((reason) => `'${reason}'`).join(', ');
  const isOther = `reason IN (${reasons}) AND NOT coalesce(is_one_clock, false)`;
  const from = `raw_from_us + CASE WHEN ${isOther} THEN 0 ELSE ${fix.offsetUs} END`;
  await database.write(
    `UPDATE time_gaps SET from_us = ${from}, to_us = greatest(${from}, raw_to_us + ${fix.offsetUs})
     WHERE ${rangeFilter(stream, range.first, range.last)}`,
  );
}

/** The gaps of earlier streams that ended at a start which a fix moved. */
export async function applyMovedStart(
  database: Database,
  { beforeUs, afterUs, streams }: MovedStartOfStreams,
): Promise<void> {
  const reasons = [...CONCLUDED_REASONS].map((reason) => `'${reason}'`).join(', ');
  await database.write(
    `UPDATE sequence_gaps SET to_us = greatest(from_us, ${afterUs})
     WHERE stream IN (${streams.join(', ')}) AND to_us = ${beforeUs} AND reason IN (${reasons})`,
  );
}

/**
 * Within its month a row is changed in place. What leaves it is set aside first, so that nothing is moved
 * twice, and goes to the tables of its new months.
 */
async function moveSamples({ database, tables }: ClockFixing, filter: string, byUs: number): Promise<void> {
  await database.write('DROP TABLE IF EXISTS temp.clock_moved');
  for (const table of [...tables]) {
    const month = monthOfTable(table);
    if (month === undefined) continue;
    const leaving = `${filter} AND (source_us < ${month.fromUs - byUs} OR source_us >= ${month.toUs - byUs})`;
    const [found] = await database.readWritten(`SELECT count(*) AS leaving FROM ${table} WHERE ${leaving}`);
    if (found !== undefined && integerOf(found, 'leaving') > 0) {
      await database.write(`CREATE TEMP TABLE IF NOT EXISTS clock_moved AS SELECT * FROM ${table} LIMIT 0`);
      await database.write(
        `INSERT INTO temp.clock_moved SELECT * REPLACE (source_us + ${byUs} AS source_us)
         FROM ${table} WHERE ${leaving}`,
      );
      await database.write(`DELETE FROM ${table} WHERE ${leaving}`);
    }
    await database.write(`UPDATE ${table} SET source_us = source_us + ${byUs} WHERE ${filter}`);
  }
  await insertMoved(database, tables);
}

async function insertMoved(database: Database, tables: Set<string>): Promise<void> {
  const [made] = await database.readWritten(
    "SELECT count(*) AS made FROM duckdb_tables() WHERE table_name = 'clock_moved'",
  );
  if (made === undefined || integerOf(made, 'made') === 0) return;
  const starts = await database.readWritten(
    `SELECT DISTINCT epoch_us(date_trunc('month', make_timestamp(source_us))) AS start_us
     FROM temp.clock_moved`,
  );
  for (const row of starts) {
    const { table, fromUs, toUs } = monthOf(integerOf(row, 'start_us'));
    if (!tables.has(table)) await database.write(createSamplesTable(table));
    tables.add(table);
    await database.write(
      `INSERT INTO ${table} SELECT * FROM temp.clock_moved
       WHERE source_us >= ${fromUs} AND source_us < ${toUs}`,
    );
  }
  await database.write('DROP TABLE temp.clock_moved');
}

function rangeFilter(stream: number, first: number, last: number): string {
  return `stream = ${stream} AND sequence BETWEEN ${first} AND ${last}`;
}
