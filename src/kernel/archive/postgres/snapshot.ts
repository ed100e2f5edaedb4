import type { Query } from './catalog.ts';

/**
 * Questions of one moment; nothing is changed. The connection, which is in no transaction before, is in none
 * behind, also where a question fails.
 */
export async function inSnapshot<T>(query: Query, work: () => Promise<T>): Promise<T> {
  await query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    return await work();
  } finally {
    // It fails only where the connection is lost.
    await query('ROLLBACK').catch(() => undefined);
  }
}
