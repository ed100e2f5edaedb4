import { closeSync, existsSync, openSync, rmSync, writeSync } from 'node:fs';
import { describeError, isKomError, KomError } from '../../../domain/errors.ts';
import type { ExportQuery } from '../../../world/archive.ts';
import { parquetFromCsv } from '../duckdb.ts';
import type { Register } from '../register.ts';
import { formerNamesOf } from '../register-reads.ts';
import { timeText } from './columns.ts';
import { type Connection, DatabaseError, literal } from './connection.ts';

/** The columns of an export, with their types in a Parquet file: those of the embedded archive. */
const COLUMNS: readonly (readonly [name: string, type: string])[] = [
  ['site', 'VARCHAR'],
  ['process', 'VARCHAR'],
  ['station', 'VARCHAR'],
  ['tag', 'VARCHAR'],
  ['source_time', 'TIMESTAMP'],
  ['value_bool', 'BOOLEAN'],
  ['value_int', 'BIGINT'],
  ['value_float', 'DOUBLE'],
  ['value_text', 'VARCHAR'],
  ['severity', 'VARCHAR'],
  ['quality_code', 'UINTEGER'],
  ['cause', 'VARCHAR'],
  ['received_time', 'TIMESTAMP'],
  ['device_time', 'TIMESTAMP'],
  ['raw_time', 'TIMESTAMP'],
  ['stream', 'VARCHAR'],
  ['sequence', 'BIGINT'],
  ['term', 'BIGINT'],
  ['marks', 'INTEGER'],
];

/** An export may take this long from beginning to end. */
const EXPORT_MAX_MS = 6 * 3_600_000;

/** Writes rows of one of the views into a new file. */
export async function exportSamples(
  connection: Connection,
  register: Register,
  query: ExportQuery,
): Promise<number> {
  const { path, format } = query;
  const refuse = (why: string): KomError => new KomError('KOM_USAGE', `${path}: ${why}`);
  if (!path.startsWith('/')) throw refuse('not an absolute path');
  // An export never takes the place of anything.
  if (existsSync(path)) throw refuse('it is there already');
  const sql = selection(register, query);
  if (format === 'csv') return await writeCsv(connection, sql, path);
  const csv = `${path}.csv.tmp`;
  if (existsSync(csv)) throw refuse(`${csv} is in the way`);
  try {
    const count = await writeCsv(connection, sql, csv);
    await parquetFromCsv({ csv, parquet: path, columns: COLUMNS });
    return count;
  } finally {
    rmSync(csv, { force: true });
  }
}

function selection(register: Register, query: ExportQuery): string {
  const { fromUs, toUs, site, tags } = query;
  const where = [`source_time >= ${literal(timeText(fromUs))}`, `source_time < ${literal(timeText(toUs))}`];
  if (site !== undefined) where.push(`site = ${literal(site)}`);
  if (tags.length > 0) where.push(`tag IN (${formerNamesOf(register, query).map(literal).join(', ')})`);
  const order = tags.length > 0 ? 'ORDER BY source_time, stream, sequence' : '';
  const columns = COLUMNS.map(([name, type]) => {
    if (type === 'TIMESTAMP') return `${name} AT TIME ZONE 'UTC' AS ${name}`;
    return type === 'BOOLEAN' ? `${name}::text` : name;
  });
  const view = query.withMarked === true ? 'samples_with_marked' : 'samples';
  return `SELECT ${columns.join(', ')} FROM ${view} WHERE ${where.join(' AND ')} ${order}`;
}

async function writeCsv(connection: Connection, sql: string, path: string): Promise<number> {
  const cannot = (error: unknown): KomError =>
    new KomError('KOM_USAGE', `${path} cannot be written: ${describeError(error)}`, { cause: error });
  let file: number;
  try {
    file = openSync(path, 'wx');
  } catch (error) {
    throw cannot(error);
  }
  try {
    return await connection.copyOut(
      `COPY (${sql}) TO STDOUT (FORMAT csv, HEADER)`,
      (chunk) => {
        try {
          writeSync(file, chunk);
        } catch (error) {
          throw cannot(error);
        }
      },
      EXPORT_MAX_MS,
    );
  } catch (error) {
    rmSync(path, { force: true });
    const cause = error instanceof DatabaseError ? error.cause : error;
    throw isKomError(cause) ? cause : error;
  } finally {
    closeSync(file);
  }
}
