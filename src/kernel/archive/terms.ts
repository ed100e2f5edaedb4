import type { ArchivedTerm } from '../../world/archive.ts';
import { integerOf } from './columns.ts';
import { type Database, textOf } from './duckdb.ts';

/** The last term of each process. */
export async function readTerms(database: Database): Promise<ArchivedTerm[]> {
  const rows = await database.read(
    'SELECT site, process, max(term) AS term, arg_max(holder, term) AS holder FROM terms GROUP BY ALL',
  );
  return rows.map((row) => ({
    site: textOf(row, 'site'),
    process: textOf(row, 'process'),
    term: integerOf(row, 'term'),
    holder: integerOf(row, 'holder'),
  }));
}

/** Only adds a row: a table that is written seldom is not worth a transaction that also deletes. */
export async function writeTerm(
  database: Database,
  { site, process, term, holder }: ArchivedTerm,
): Promise<void> {
  await database.write('INSERT INTO terms VALUES (?, ?, ?, ?)', [site, process, BigInt(term), holder]);
}
