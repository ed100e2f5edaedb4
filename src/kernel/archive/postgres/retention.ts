import { integerOf } from '../columns.ts';
import { keptFromUs } from '../retention.ts';
import type { PostgresCatalog, Query } from './catalog.ts';
import { timeText, timeUs } from './columns.ts';
import { CHUNKS, PARTITION_MONTHS } from './functions.ts';
import type { Parts } from './open.ts';
import { UPKEEP_VERSION_MIN } from './schema.ts';

/**
 * Drops the months that are wholly older than the retention and of which nothing came within it, whatever
 * times its device gave it, with the gaps of which the same holds.
 */
export async function dropOldMonths(
  { session, catalog }: Pick<Parts, 'session' | 'catalog'>,
  age: { readonly retentionMs: number; readonly nowUs: number },
): Promise<{
  readonly dropped: number;
  /** The start of the oldest month that is kept; `null`: everything is. */
  readonly keptFrom: string | null;
}> {
  let dropped = 0;
  let keptFrom: string | null = null;
  await session.transaction(async () => {
    const query: Query = (sql, values) => session.query(sql, values);
    const months = await readMonths(query, catalog);
    const nowUs = await youngerUs(query, age.nowUs);
    const kept = keptFromUs({ ...age, nowUs, months, streams: catalog.streams.values() });
    if (kept === null) return;
    keptFrom = timeText(kept.fromUs);
    const times = [keptFrom, timeText(kept.receivedFromUs)];
    const [row = {}] =
      catalog.version < UPKEEP_VERSION_MIN
        ? await query('SELECT drop_samples_before($1) AS dropped', [keptFrom])
        : await query('SELECT drop_samples_before($1, $2) AS dropped', times);
    dropped = integerOf(row, 'dropped');
    for (const table of ['time_gaps', 'sequence_gaps']) {
      await query(`DELETE FROM ${table} WHERE to_time < $1 AND received_time < $2`, times);
    }
  });
  catalog.months.clear();
  return { dropped, keptFrom };
}

/** The younger of the two clocks, the Kernel's and the database's. */
async function youngerUs(query: Query, nowUs: number): Promise<number> {
  const [row = {}] = await query(
    `SELECT ${timeUs('younger')} AS now_us FROM (SELECT least($1::timestamptz, now()) AS younger) c`,
    [timeText(nowUs)],
  );
  return integerOf(row, 'now_us');
}

/** A time of each month that there is, by the partitions that a Kernel has made or by chunks. */
async function readMonths(query: Query, { isHypertable, version }: PostgresCatalog): Promise<number[]> {
  const ofVersion3 = isHypertable ? CHUNKS : PARTITION_MONTHS;
  const months = version < UPKEEP_VERSION_MIN ? ofVersion3 : 'SELECT samples_months() AS start';
  const rows = await query(`SELECT ${timeUs('start')} AS start_us FROM (${months}) m`);
  return rows.map((row) => integerOf(row, 'start_us'));
}
