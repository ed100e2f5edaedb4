import { expect, it } from 'vitest';
import type { Query } from './catalog.ts';
import { inSnapshot } from './snapshot.ts';

/** A session that refuses some statements, and everything but ROLLBACK in a transaction that has failed. */
function session(refused: (sql: string) => boolean) {
  let state: 'idle' | 'open' | 'failed' = 'idle';
  const query: Query = async (sql) => {
    if (refused(sql)) {
      if (state === 'open') state = 'failed';
      throw new Error(`refused: ${sql}`);
    }
    if (sql.startsWith('BEGIN')) state = 'open';
    else if (sql === 'ROLLBACK') state = 'idle';
    return [];
  };
  return { query, state: () => state };
}

it.each([null, 'SELECT 1'])('leaves no transaction behind it (refused: %s)', async (refused) => {
  const { query, state } = session((sql) => sql === refused);
  const asked = inSnapshot(query, async () => {
    expect(state()).toBe('open');
    return await query('SELECT 1');
  });
  if (refused === null) expect(await asked).toEqual([]);
  else await expect(asked).rejects.toThrow('refused: SELECT 1');
  expect(state()).toBe('idle');
});

it('tells why the question failed where the connection is lost with it', async () => {
  const { query } = session((sql) => !sql.startsWith('BEGIN'));
  await expect(inSnapshot(query, () => query('SELECT 1'))).rejects.toThrow('refused: SELECT 1');
});
