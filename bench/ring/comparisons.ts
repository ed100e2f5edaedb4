import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Level } from 'level';
import type { Block } from '../../src/domain/block/block.ts';
import { isTimeGap, type Sample } from '../../src/domain/sample.ts';
import { inDirectory, timed } from '../support/measure.ts';
import { bytesOf, grouped, openBenchRing, reported, SEAL_ENTRIES, sealedBlocks } from './parts.ts';

/** Bytes a second of the same blocks in the same groups, each group durable before the next. */
export interface DurableRates {
  readonly fileBytesPerS: number;
  readonly levelBytesPerS: number;
  readonly ringBytesPerS: number;
}

/** Rounds alternate, so that a neighbour on the machine disturbs all of them alike; the median counts. */
const ROUNDS = 3;

export async function compareDurable(bytesMin: number): Promise<DurableRates> {
  const rates = { file: [] as number[], level: [] as number[], ring: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    // A ring takes blocks of its own stream only, so each round makes them anew.
    await inDirectory(async (directory) => {
      const ring = await openBenchRing(join(directory, 'ring'), { capacityBytes: 4 * bytesMin });
      const groups = grouped(sealedBlocks('noise', ring.stream.streamId, bytesMin));
      const bytes = bytesOf(groups.flat());
      const rate = async (job: () => Promise<void>) => bytes / (await timed(job)).seconds;
      rates.file.push(await rate(() => appendFile(join(directory, 'file'), groups)));
      rates.level.push(await rate(() => putLevel(join(directory, 'level'), groups)));
      rates.ring.push(
        await rate(async () => {
          for (const group of groups) await ring.append(group);
        }),
      );
      await ring.close();
    });
  }
  const median = (values: number[]): number => values.toSorted((a, b) => a - b)[1] ?? 0;
  return {
    fileBytesPerS: median(rates.file),
    levelBytesPerS: median(rates.level),
    ringBytesPerS: median(rates.ring),
  };
}

async function appendFile(path: string, groups: readonly Block[][]): Promise<void> {
  const file = await open(path, 'a');
  for (const group of groups) {
    await file.writev(group.map((block) => block.bytes));
    await file.datasync();
  }
  await file.close();
}

/** LevelDB as it comes, but for its compression, which the blocks have behind them. */
export async function putLevel(path: string, groups: readonly Block[][]): Promise<void> {
  const database = new Level<Uint8Array, Uint8Array>(path, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    compression: false,
  });
  await database.open();
  let position = 0n;
  for (const group of groups) {
    const puts = group.map((block) => {
      const key = new Uint8Array(8);
      new DataView(key.buffer).setBigUint64(0, ++position);
      return { type: 'put' as const, key, value: block.bytes };
    });
    await database.batch(puts, { sync: true });
  }
  await database.close();
}

/** Samples a second as rows of SQLite: WAL, synchronous=FULL, one transaction for as many as a block has. */
export async function sqliteSamplesPerS(count: number): Promise<number> {
  const samples = reported('mixedBusy', count)
    .flat()
    .flatMap((entry) => (isTimeGap(entry) ? [] : [entry]));
  return await inDirectory(async (directory) => {
    const database = new DatabaseSync(join(directory, 'rows.sqlite'));
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    database.exec(
      'CREATE TABLE samples (sequence INTEGER PRIMARY KEY, tag INTEGER, time INTEGER,' +
        ' value, quality INTEGER, cause TEXT)',
    );
    const { seconds } = await timed(() => insertRows(database, samples));
    database.close();
    return samples.length / seconds;
  });
}

function insertRows(database: DatabaseSync, samples: readonly Sample[]): void {
  const insert = database.prepare('INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?)');
  for (const [at, { tagIndex, sourceTimeUs, value, quality, cause }] of samples.entries()) {
    if (at % SEAL_ENTRIES === 0) database.exec(at === 0 ? 'BEGIN' : 'COMMIT; BEGIN');
    const stored = typeof value === 'boolean' ? Number(value) : value;
    insert.run(at + 1, tagIndex, sourceTimeUs, stored, quality, cause);
  }
  database.exec('COMMIT');
}
