import type { ArchivedClockFix } from '../../domain/clock-offsets.ts';
import { STARTED_BY_ANOTHER_CLOCK } from '../../domain/sample.ts';
import { type Database, integerOf } from './duckdb.ts';
import { createSamplesTable, type Month, monthOf, monthOfTable } from './schema.ts';

/** What a fix needs of the transaction that it is part of. */
export interface ClockFixing {
  readonly database: Database;
  /** Tables of samples that there are; those that a fix has to make are added. */
  readonly tables: Set<string>;
  /** Small id of the stream. */
  readonly stream: number;
}

/** Moves the times of everything that is archived in the range of a fix. Idempotent. */
export async function applyClockFix(fixing: ClockFixing, fix: ArchivedClockFix): Promise<void> {
  const { database, tables, stream } = fixing;
  for (const table of [...tables]) await moveSamples(fixing, table, fix);
  const reasons = [...STARTED_BY_ANOTHER_CLOCK].map((reason) => `'${reason}'`).join(', ');
  const from = `raw_from_us + CASE WHEN reason IN (${reasons}) THEN 0 ELSE ${fix.offsetUs} END`;
  await database.write(
    `UPDATE time_gaps SET from_us = ${from}, to_us = greatest(${from}, raw_to_us + ${fix.offsetUs})
     WHERE ${rangeFilter(stream, fix)}`,
  );
}

/** Within its month a row is changed in place; one that leaves it goes to the table of its new month. */
async function moveSamples(
  { database, tables, stream }: ClockFixing,
  table: string,
  fix: ArchivedClockFix,
): Promise<void> {
  const moved = `source_us - offset_us + ${fix.offsetUs}`;
  const filter = `${rangeFilter(stream, fix)} AND offset_us <> ${fix.offsetUs}`;
  const starts = await database.readWritten(
    `SELECT DISTINCT epoch_us(date_trunc('month', make_timestamp(${moved}))) AS start_us
     FROM ${table} WHERE ${filter}`,
  );
  const months = starts.map((row) => monthOf(integerOf(row, 'start_us')));
  for (const month of months.filter((each) => each.table !== table)) {
    if (!tables.has(month.table)) await database.write(createSamplesTable(month.table));
    tables.add(month.table);
    await database.write(
      `INSERT INTO ${month.table} SELECT * REPLACE (${moved} AS source_us, ${fix.offsetUs} AS offset_us)
       FROM ${table} WHERE ${filter} AND ${monthFilter(moved, month)}`,
    );
  }
  const own = monthOfTable(table);
  if (own === undefined || months.length === 0) return;
  if (months.some((each) => each.table !== table)) {
    await database.write(`DELETE FROM ${table} WHERE ${filter} AND NOT (${monthFilter(moved, own)})`);
  }
  await database.write(
    `UPDATE ${table} SET source_us = ${moved}, offset_us = ${fix.offsetUs} WHERE ${filter}`,
  );
}

function rangeFilter(stream: number, { firstSequence, lastSequence }: ArchivedClockFix): string {
  return `stream = ${stream} AND sequence BETWEEN ${firstSequence} AND ${lastSequence}`;
}

function monthFilter(timeUs: string, { fromUs, toUs }: Month): string {
  return `${timeUs} >= ${fromUs} AND ${timeUs} < ${toUs}`;
}
