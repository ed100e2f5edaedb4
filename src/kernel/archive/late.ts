import { type LateRange, mergeLate } from '../../domain/late-range.ts';
import type { LateQuery } from '../../world/archive.ts';
import { integerOf } from './columns.ts';
import { type Cell, type Database, textOf } from './duckdb.ts';

/** Rows of `late_ranges` before they are merged, and merged ones that are kept: the oldest go. */
const ROWS_MAX = 4096;
const KEPT_MAX = 2048;

/** Adds what a transaction completed; returns how many rows there are then. */
export async function writeLate(
  database: Database,
  rowsBefore: number,
  ranges: readonly LateRange[],
): Promise<number> {
  if (rowsBefore + ranges.length <= ROWS_MAX) {
    await database.insert('late_ranges', ranges.map(cellsOf));
    return rowsBefore + ranges.length;
  }
  const merged = mergeLate([...(await readAll(database)), ...ranges]).slice(-KEPT_MAX);
  await database.write('DELETE FROM late_ranges');
  await database.insert('late_ranges', merged.map(cellsOf));
  return merged.length;
}

/** How many rows there are. */
export async function countLate(database: Database): Promise<number> {
  const [row] = await database.read('SELECT count(*) AS count FROM late_ranges');
  return row === undefined ? 0 : integerOf(row, 'count');
}

export async function readLate(database: Database, { site, fromUs, toUs }: LateQuery): Promise<LateRange[]> {
  return mergeLate(await readAll(database))
    .filter((range) => site === undefined || range.site === site)
    .filter(({ completedAtUs }) => completedAtUs >= fromUs && completedAtUs < toUs);
}

async function readAll(database: Database): Promise<LateRange[]> {
  const rows = await database.read('SELECT * FROM late_ranges');
  return rows.map((row) => ({
    site: textOf(row, 'site'),
    process: textOf(row, 'process'),
    station: textOf(row, 'station'),
    fromUs: integerOf(row, 'from_us'),
    toUs: integerOf(row, 'to_us'),
    sinceUs: integerOf(row, 'since_us'),
    completedAtUs: integerOf(row, 'completed_us'),
  }));
}

function cellsOf(range: LateRange): Cell[] {
  const { site, process, station, fromUs, toUs, sinceUs, completedAtUs } = range;
  return [site, process, station, BigInt(fromUs), BigInt(toUs), BigInt(sinceUs), BigInt(completedAtUs)];
}
