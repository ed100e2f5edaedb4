import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, expect, test } from 'vitest';
import { openDuckdbArchive } from '../../src/kernel/archive/duckdb-archive.ts';
import { allOf, STREAM } from '../../src/world/archive.fixture.ts';
import { silentLog } from '../../src/world/log.ts';

const directory = mkdtempSync(join(tmpdir(), 'kom-archive-kill-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const WRITER = join(import.meta.dirname, 'archive-writer.ts');

/** Starts a writer and resolves with the last number that it said was committed when it was killed. */
async function writeAndKill(afterMs: number): Promise<number> {
  const child: ChildProcess = spawn(process.execPath, [WRITER, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let committed = 0;
  if (child.stdout === null) throw new Error('no output');
  for await (const line of createInterface(child.stdout)) {
    if (committed === 0) setTimeout(() => child.kill('SIGKILL'), afterMs);
    committed = Number(line);
  }
  return committed;
}

test('kill -9 at any moment loses nothing that was committed, and the archive opens by itself', async () => {
  let before = 0;
  for (const afterMs of [40, 170, 333, 90, 511]) {
    const committed = await writeAndKill(afterMs);
    expect(committed).toBeGreaterThan(before);
    const archive = await openDuckdbArchive({ directory, memoryLimitBytes: 256e6, log: silentLog });
    const [range, ...others] = await archive.coverage(STREAM);
    expect(others).toEqual([]);
    // The last transaction may have become durable before it could say so, never the other way round.
    expect(range?.last).toBeGreaterThanOrEqual(committed);
    const { samples } = await archive.stat();
    expect(samples).toBe(range?.last);
    const rows = await archive.samples(allOf('P1.a', { limit: 1e7 }));
    expect(new Set(rows.map((row) => row.sequence)).size).toBe(samples);
    before = range?.last ?? 0;
    await archive.close();
  }
});

test('a second process is told that the archive is taken', async () => {
  const child = spawn(process.execPath, [WRITER, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await expect(
      openDuckdbArchive({ directory, memoryLimitBytes: 256e6, log: silentLog }),
    ).rejects.toMatchObject({ code: 'KOM_STORE_LOCKED' });
  } finally {
    child.kill('SIGKILL');
  }
});
