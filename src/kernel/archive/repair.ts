import type { RepairedRange } from '../../domain/commit-plan.ts';
import { integerOf } from './columns.ts';
import type { Database } from './duckdb.ts';

/** Deletes what is there of numbers that a transaction inserts again. */
export async function deleteRepaired(
  database: Database,
  repairs: readonly RepairedRange[],
  known: { readonly tables: ReadonlySet<string>; readonly streamNumber: (streamId: string) => number },
): Promise<void> {
  for (const { streamId, first, last } of repairs) {
    const numbers = [known.streamNumber(streamId), BigInt(first), BigInt(last)];
    for (const table of [...known.tables, 'time_gaps', 'device_times', 'clock_fixes']) {
      await database.write(`DELETE FROM ${table} WHERE stream = ? AND sequence BETWEEN ? AND ?`, numbers);
    }
  }
}

/** The highest epoch that was ever raised; 0 for none. */
export async function readKernelEpoch(database: Database): Promise<number> {
  const [row] = await database.read('SELECT coalesce(max(epoch), 0) AS epoch FROM kernel_epochs');
  return row === undefined ? 0 : integerOf(row, 'epoch');
}

/** Each raise is a row, so that nothing is ever lowered. */
export async function writeKernelEpoch(database: Database, epoch: number): Promise<void> {
  await database.write('INSERT INTO kernel_epochs VALUES (?)', [BigInt(epoch)]);
}
