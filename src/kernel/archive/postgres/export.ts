import { closeSync, existsSync, openSync, rmSync, writeSync } from 'node:fs';
import { describeError, isKomError, KomError } from '../../../domain/errors.ts';
import type { ExportQuery } from '../../../world/archive.ts';
import { parquetFromCsv } from '../duckdb.ts';
import type { Register } from '../register.ts';
import { formerNamesOf } from '../register-reads.ts';
import { timeText } from './columns.ts';
import { type Connection, DatabaseError, literal } from './connection.ts';
import { damagedError } from './row-values.ts';
import { IS_DAMAGED, NOT_MARKED, SAMPLES } from './schema.ts';

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
  await checkRows(connection, register, query);
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

/** @throws KomError KOM_ARCHIVE_UNAVAILABLE for a row of the export that is damaged */
async function checkRows(connection: Connection, register: Register, query: ExportQuery): Promise<void> {
  const shown = query.withMarked === true ? 'true' : NOT_MARKED;
  const [damaged] = await connection.query(
    `SELECT r.sequence FROM ${SAMPLES} r JOIN tags t ON t.id = r.tag
     WHERE ${conditions(register, query, 't.name')} AND ${shown} AND ${IS_DAMAGED} LIMIT 1`,
    [],
    EXPORT_MAX_MS,
  );
  if (damaged !== undefined) throw damagedError(damaged);
}

/** Which rows; `tag`: the column with the name of their tag. */
function conditions(register: Register, query: ExportQuery, tag: string): string {
  const { fromUs, toUs, site, tags } = query;
  const where = [`source_time >= ${literal(timeText(fromUs))}`, `source_time < ${literal(timeText(toUs))}`];
  if (site !== undefined) where.push(`site = ${literal(site)}`);
  if (tags.length > 0) where.push(`${tag} IN (${formerNamesOf(register, query).map(literal).join(', ')})`);
  return where.join(' AND ');
}

function selection(register: Register, query: ExportQuery): string {
  const order = query.tags.length > 0 ? 'ORDER BY source_time, stream, sequence' : '';
  const columns = COLUMNS.map(([name, type]) => {
    if (type === 'TIMESTAMP') return `${name} AT TIME ZONE 'UTC' AS ${name}`;
    return type === 'BOOLEAN' ? `${name}::text` : name;
  });
  const view = query.withMarked === true ? 'samples_with_marked' : 'samples';
  return `SELECT ${columns.join(', ')} FROM ${view} WHERE ${conditions(register, query, 'tag')} ${order}`;
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
