import { integerOf } from '../columns.ts';
import { keptFromUs } from '../retention.ts';
import type { Query } from './catalog.ts';
import { timeText, timeUs } from './columns.ts';
import type { Parts } from './open.ts';

interface Age {
  readonly retentionMs: number;
  readonly nowUs: number;
}

/**
 * Drops the months that are wholly older than the retention and of which nothing came within it, whatever
 * times its device gave it, with the gaps of which the same holds. Returns how many months were dropped.
 */
export async function dropOldMonths(
  { session, catalog }: Pick<Parts, 'session' | 'catalog'>,
  age: Age,
): Promise<number> {
  let dropped = 0;
  await session.transaction(async () => {
    const moment = await keptFrom((sql, values) => session.query(sql, values), age);
    const [months = {}] = await session.query('SELECT drop_samples_before($1) AS dropped', [moment]);
    dropped = integerOf(months, 'dropped');
    for (const table of ['time_gaps', 'sequence_gaps']) {
      await session.query(`DELETE FROM ${table} WHERE greatest(to_time, received_time) < $1`, [moment]);
    }
  });
  catalog.months.clear();
  return dropped;
}

/**
 * The start of the oldest month that is kept. The younger of the two clocks, the Kernel's and the database's,
 * counts: one that ran ahead must not cost the archive.
 */
export async function keptFrom(query: Query, { retentionMs, nowUs }: Age): Promise<string> {
  const [row = {}] = await query(
    `SELECT ${timeUs('younger')} AS now_us FROM (SELECT least($1::timestamptz, now()) AS younger) c`,
    [timeText(nowUs)],
  );
  return timeText(keptFromUs(integerOf(row, 'now_us'), retentionMs));
}
