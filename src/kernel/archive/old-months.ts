import type { Catalog } from './catalog.ts';
import type { Database } from './duckdb.ts';
import { monthsBetween } from './reads.ts';
import { keptFromUs } from './retention.ts';
import { createSamplesViews, DROP_SAMPLES_VIEWS } from './schema.ts';

/**
 * Drops the months that are wholly older than the retention, each in a transaction of its own, and then the
 * gaps of that time. Coverage stays, so nothing of it is taken in again or counts as lost. Kept is what came
 * within the retention, whatever times its device gave it. `whenDropped` hears of each month once it is gone.
 */
export async function dropOldMonths(
  { database, catalog }: { readonly database: Database; readonly catalog: Catalog },
  age: { readonly retentionMs: number; readonly nowUs: number },
  whenDropped: () => void,
): Promise<void> {
  const months = monthsBetween(catalog, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY);
  const streams = catalog.streams.values();
  const from = keptFromUs({ ...age, streams, months: months.map((month) => month.fromUs) });
  if (from === null) return;
  const { fromUs, receivedFromUs } = from;
  let dropped = 0;
  for (const { table } of months.filter(({ toUs }) => toUs <= fromUs)) {
    const [{ last = null } = {}] = await database.read(`SELECT max(received_us) AS last FROM ${table}`);
    if (last !== null && Number(last) >= receivedFromUs) continue;
    dropped++;
    const kept = [...catalog.tables].filter((each) => each !== table).sort();
    await database.transaction(async () => {
      await deleteDeviceTimes(database, catalog, table);
      await database.write(kept.length === 0 ? DROP_SAMPLES_VIEWS : createSamplesViews(kept));
      await database.write(`DROP TABLE ${table}`);
    });
    catalog.tables.delete(table);
    whenDropped();
  }
  await database.transaction(async () => {
    for (const table of ['time_gaps', 'sequence_gaps']) {
      await database.write(`DELETE FROM ${table} WHERE to_us < ? AND received_us < ?`, [
        BigInt(fromUs),
        BigInt(receivedFromUs),
      ]);
    }
  });
  // What they took is used again once the log is in the database; that comes by itself, only later.
  if (dropped > 0) await database.write('CHECKPOINT').catch(() => undefined);
}

async function deleteDeviceTimes(database: Database, catalog: Catalog, table: string): Promise<void> {
  if (catalog.withDeviceTimes.size === 0) return;
  await database.write(
    `DELETE FROM device_times d USING ${table} r WHERE d.stream = r.stream AND d.sequence = r.sequence`,
  );
}
