import { existsSync } from 'node:fs';
import { describeError, KomError } from '../../domain/errors.ts';
import type { ExportQuery } from '../../world/archive.ts';
import type { Catalog } from './catalog.ts';
import { integerOf } from './columns.ts';
import type { Database } from './duckdb.ts';
import { formerNamesOf } from './register-reads.ts';

/** Writes rows of one of the views into a new file. */
export async function exportSamples(
  database: Database,
  catalog: Catalog,
  query: ExportQuery,
): Promise<number> {
  const { path, format, fromUs, toUs } = query;
  const refuse = (why: string): KomError => new KomError('KOM_USAGE', `${path}: ${why}`);
  if (!path.startsWith('/')) throw refuse('not an absolute path');
  // An export never takes the place of anything.
  if (existsSync(path)) throw refuse('it is there already');
  if (catalog.tables.size === 0) throw refuse('the archive has no samples');
  const where = [`source_time >= make_timestamp(${fromUs})`, `source_time < make_timestamp(${toUs})`];
  if (query.site !== undefined) where.push(`site = ${literal(query.site)}`);
  if (query.tags.length > 0) where.push(`tag IN (${formerNamesOf(catalog, query).map(literal).join(', ')})`);
  const view = query.withMarked === true ? 'samples_with_marked' : 'samples';
  const order = query.tags.length > 0 ? 'ORDER BY source_time, stream, sequence' : '';
  const as = format === 'csv' ? 'FORMAT csv, HEADER' : 'FORMAT parquet, COMPRESSION zstd';
  try {
    const [row] = await database.read(
      `COPY (SELECT * FROM ${view} WHERE ${where.join(' AND ')} ${order}) TO ${literal(path)} (${as})`,
    );
    return row === undefined ? 0 : integerOf(row, 'Count');
  } catch (error) {
    throw new KomError('KOM_USAGE', `${path} cannot be written: ${describeError(error)}`, { cause: error });
  }
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
