import { integerOf } from '../columns.ts';
import { keptFromUs } from '../retention.ts';
import { timeText, timeUs } from './columns.ts';
import type { Parts } from './open.ts';

/**
 * Drops the months that are wholly older than the retention, with the gaps of that time. The younger of the
 * two clocks, the Kernel's and the database's, counts: one that ran ahead must not cost the archive.
 * Returns how many months were dropped.
 */
export async function dropOldMonths(
  { session, catalog }: Pick<Parts, 'session' | 'catalog'>,
  { retentionMs, nowUs }: { readonly retentionMs: number; readonly nowUs: number },
): Promise<number> {
  let dropped = 0;
  await session.transaction(async () => {
    const [row = {}] = await session.query(
      `SELECT ${timeUs('younger')} AS now_us FROM (SELECT least($1::timestamptz, now()) AS younger) c`,
      [timeText(nowUs)],
    );
    const moment = timeText(keptFromUs(integerOf(row, 'now_us'), retentionMs));
    const [months = {}] = await session.query('SELECT drop_samples_before($1) AS dropped', [moment]);
    dropped = integerOf(months, 'dropped');
    await session.query('DELETE FROM time_gaps WHERE to_time < $1', [moment]);
    await session.query('DELETE FROM sequence_gaps WHERE to_time < $1', [moment]);
  });
  catalog.months.clear();
  return dropped;
}
