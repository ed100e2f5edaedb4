import { type LateRange, mergeLate, PAUSE_MAX_US } from '../../domain/late-range.ts';
import { formatTimeUs } from '../../domain/units.ts';
import type { LateQuery } from '../../world/archive.ts';
import type { Log } from '../../world/log.ts';
import { type Cell, type Database, integerOf, textOf } from './duckdb.ts';

/** Rows of `late_ranges` before they are merged, and merged ones that are kept: the oldest go. */
const ROWS_MAX = 4096;
const KEPT_MAX = 2048;

/**
 * Says in the log what was completed late, once nothing more comes: a line for each process. Bounded: one
 * range for each station.
 */
export class LateAnnouncer {
  readonly #log: Log;
  #open: readonly LateRange[] = [];

  constructor(log: Log) {
    this.#log = log;
  }

  /** After each transaction, received at a time. */
  took(ranges: readonly LateRange[], receivedAtUs: number): void {
    if (ranges.length > 0) this.#open = mergeLate([...this.#open, ...ranges]);
    if (this.#open.length > 0) this.#announce((range) => receivedAtUs - range.completedAtUs > PAUSE_MAX_US);
  }

  /** Nothing more comes. */
  close(): void {
    this.#announce(() => true);
  }

  #announce(isOver: (range: LateRange) => boolean): void {
    const over = this.#open.filter(isOver);
    this.#open = this.#open.filter((range) => !isOver(range));
    for (const ranges of Map.groupBy(over, ({ site, process }) => `${site}\n${process}`).values()) {
      const { site, process } = ranges[0] ?? { site: '', process: '' };
      const from = formatTimeUs(ranges.reduce((least, { fromUs }) => Math.min(least, fromUs), Infinity));
      const to = formatTimeUs(ranges.reduce((most, { toUs }) => Math.max(most, toUs), -Infinity));
      const stations = ranges.map(({ station }) => station);
      this.#log.info({ site, process, stations, from, to }, 'a past range was completed: calculate it again');
    }
  }
}

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
