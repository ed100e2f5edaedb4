import type { ArchivedTerm } from '../../../world/archive.ts';
import { integerOf } from '../columns.ts';
import type { Query } from './catalog.ts';
import { textOf } from './columns.ts';
import type { WritingSession } from './database.ts';

/** The highest epoch that was ever raised; 0 for none. */
export async function readKernelEpoch(query: Query): Promise<number> {
  const [row] = await query('SELECT kernel_epoch FROM archive_state');
  return row === undefined ? 0 : integerOf(row, 'kernel_epoch');
}

export async function writeKernelEpoch(session: WritingSession, epoch: number): Promise<void> {
  await session.transaction(async () => {
    await session.query('UPDATE archive_state SET kernel_epoch = greatest(kernel_epoch, $1)', [epoch]);
  });
}

/** The last term of each process. */
export async function readTerms(query: Query): Promise<ArchivedTerm[]> {
  const rows = await query('SELECT site, process, term, holder FROM terms');
  return rows.map((row) => ({
    site: textOf(row, 'site'),
    process: textOf(row, 'process'),
    term: integerOf(row, 'term'),
    holder: integerOf(row, 'holder'),
  }));
}

export async function writeTerm(
  session: WritingSession,
  { site, process, term, holder }: ArchivedTerm,
): Promise<void> {
  await session.transaction(async () => {
    await session.query(
      `INSERT INTO terms VALUES ($1, $2, $3, $4) ON CONFLICT (site, process)
       DO UPDATE SET term = excluded.term, holder = excluded.holder WHERE excluded.term > terms.term`,
      [site, process, term, holder],
    );
  });
}
