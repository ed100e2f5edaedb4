import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openDatabase } from './duckdb.ts';

/** Keeps a reader busy for a good while. */
const LONG = 'SELECT sum(sqrt(range)) AS sum FROM range(60000000)';

it('long questions hold up neither the writer nor, as far as there are readers, each other', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kom-duckdb-'));
  const database = await openDatabase({ directory, memoryLimitBytes: 128e6 });
  try {
    const order: string[] = [];
    const asked = (name: string, question: Promise<unknown>) => question.then(() => void order.push(name));
    await database.write('CREATE TABLE t (a INTEGER)');
    const long = Array.from({ length: 3 }, () => asked('long', database.read(LONG)));
    const written = database.transaction(async () => {
      await database.insert('t', [[1], [2]]);
      await database.breathe();
      await database.readWritten('SELECT count(*) FROM t');
    });
    await asked('written', written);
    await asked('short', database.read('SELECT count(*) FROM t'));
    expect(order).toEqual(['written', 'short']);
    // Now there are four; the next ones have to wait, and come to their turn.
    const more = [asked('long', database.read(LONG)), asked('last', database.read('SELECT 1'))];
    await asked(
      'written',
      database.transaction(() => database.insert('t', [[3]])),
    );
    expect(order).toEqual(['written', 'short', 'written']);
    await Promise.all([...long, ...more]);
    expect(order).toHaveLength(8);
    expect(await database.read('SELECT count(*) AS rows FROM t')).toEqual([{ rows: 3n }]);
  } finally {
    database.close();
    rmSync(directory, { recursive: true, force: true });
  }
});
