import type { CommitPlan } from '../../domain/commit-plan.ts';
import {
  type Coverage,
  type CoverageRange,
  type CoverageState,
  EMPTY_COVERAGE,
} from '../../domain/coverage.ts';
import type { Catalog } from './catalog.ts';
import { coverageRows } from './changed.ts';
import { integerOf, integerOrNull } from './columns.ts';
import { type Cell, type Database, type Row, textOf } from './duckdb.ts';
import type { StreamRow } from './register.ts';

/**
 * What nearly every commit changes, the end of a stream's coverage and how far it was observed, is appended
 * to `stream_changes`: a row changed in place costs DuckDB a millisecond, and a commit has few to spare.
 * The log is laid over `streams` and `coverage` when they are read, and written into them when it has this
 * many rows.
 */
const CHANGES_MAX = 4096;

/** What the log holds. */
export interface ChangeLog {
  readonly rows: number;
  /** Small ids of the streams in it. */
  readonly streams: ReadonlySet<number>;
}

export const NO_CHANGES: ChangeLog = { rows: 0, streams: new Set() };

/** Of a transaction, what the log has to be told. */
interface Changing {
  readonly database: Database;
  readonly catalog: Catalog;
  readonly plan: CommitPlan;
  readonly streams: ReadonlyMap<string, StreamRow>;
}

/** Appends what a transaction changes; returns what the log then holds. */
export async function writeChanges(changing: Changing): Promise<ChangeLog> {
  const { database, catalog, plan, streams } = changing;
  const rows: Cell[][] = [];
  for (const row of streams.values()) {
    if (!catalog.streams.has(row.streamId)) continue;
    rows.push([row.id, 'observed', BigInt(row.observedUntilUs), null, null]);
    if (row.endedAtUs !== null && row.endedSequence !== null) {
      rows.push([row.id, 'ended', BigInt(row.endedAtUs), BigInt(row.endedSequence), null]);
    }
  }
  for (const [streamId, coverage] of plan.coverage) {
    const stream = (streams.get(streamId) ?? catalog.streams.get(streamId))?.id ?? 0;
    rows.push(...coverageChanges(stream, catalog.coverage.get(streamId) ?? EMPTY_COVERAGE, coverage));
  }
  const log: ChangeLog = {
    rows: catalog.changes.rows + rows.length,
    streams: new Set([...catalog.changes.streams, ...rows.map(([stream]) => Number(stream))]),
  };
  if (log.rows > CHANGES_MAX) return await fold(changing, log);
  await database.insert('stream_changes', rows);
  return log;
}

/** One that is gone has no state. */
function coverageChanges(stream: number, before: Coverage, after: Coverage): Cell[][] {
  const { changed, gone } = coverageRows(before, after);
  return [
    ...changed.map(({ first, last, state }): Cell[] => [
      ...[stream, 'coverage', BigInt(first), BigInt(last), state],
    ]),
    ...gone.map((first): Cell[] => [stream, 'coverage', BigInt(first), null, null]),
  ];
}

/** Writes the streams that the log names anew, as they are after the transaction, and empties it. */
async function fold({ database, catalog, plan, streams }: Changing, log: ChangeLog): Promise<ChangeLog> {
  const ids = [...log.streams].join(', ');
  const named = new Map([...catalog.streamsById].map(([id, row]) => [id, streams.get(row.streamId) ?? row]));
  for (const row of streams.values()) named.set(row.id, row);
  const rows = [...named.values()].filter((row) => log.streams.has(row.id));
  await database.write(`DELETE FROM streams WHERE id IN (${ids})`);
  await database.write(`DELETE FROM coverage WHERE stream IN (${ids})`);
  await database.write('DELETE FROM stream_changes');
  await database.insert('streams', rows.map(streamCells));
  await database.insert(
    'coverage',
    rows.flatMap(({ id, streamId }) =>
      (plan.coverage.get(streamId) ?? catalog.coverage.get(streamId) ?? EMPTY_COVERAGE).map(
        ({ first, last, state }): Cell[] => [id, BigInt(first), BigInt(last), state],
      ),
    ),
  );
  return NO_CHANGES;
}

/** A row of `streams`. */
export function streamCells(row: StreamRow): Cell[] {
  const { id, streamId, bootId, startedAtUs, previous, site, process, instance } = row;
  const integer = (value: number | null): bigint | null => (value === null ? null : BigInt(value));
  return [
    ...[id, streamId, bootId, BigInt(startedAtUs), previous === null ? null : JSON.stringify(previous)],
    ...[site, process, instance, BigInt(row.observedUntilUs)],
    ...[integer(row.endedAtUs), integer(row.endedSequence)],
  ];
}

/** The log, in the order of writing. */
export function readChanges(database: Database): Promise<Row[]> {
  return database.read('SELECT * FROM stream_changes ORDER BY rowid');
}

export function changeLogOf(rows: readonly Row[]): ChangeLog {
  return { rows: rows.length, streams: new Set(rows.map((row) => integerOf(row, 'stream'))) };
}

/** A stream after what the log says of it. */
export function changedStream(stream: StreamRow, changes: readonly Row[]): StreamRow {
  let changed = stream;
  for (const row of changes) {
    const first = integerOf(row, 'first');
    const name = textOf(row, 'name');
    if (name === 'observed') changed = { ...changed, observedUntilUs: first };
    if (name === 'ended') {
      changed = { ...changed, endedAtUs: first, endedSequence: integerOrNull(row, 'last') };
    }
  }
  return changed;
}

/** Coverage after what the log says of it. */
export function changedCoverage(coverage: Coverage, changes: readonly Row[]): Coverage {
  const ranges = new Map(coverage.map((range): [number, CoverageRange] => [range.first, range]));
  for (const row of changes) {
    if (textOf(row, 'name') !== 'coverage') continue;
    const first = integerOf(row, 'first');
    const last = integerOrNull(row, 'last');
    if (last === null) ranges.delete(first);
    else ranges.set(first, { first, last, state: textOf(row, 'state') as CoverageState });
  }
  return [...ranges.values()].sort((a, b) => a.first - b.first);
}
