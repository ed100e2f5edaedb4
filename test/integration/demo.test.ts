import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { kom } from './support/kom.ts';

/** 45 s is what a user waits at most; beside other tests it may take twice that. */
const TIME_MAX_MS = 90_000;
const directory = mkdtempSync(join(tmpdir(), 'kom-demo-test-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test(
  'kom demo --json: one JSON line, the proof holds, in time',
  async () => {
    const startedMs = performance.now();
    const { code, stdout, stderr } = await kom(['demo', '--json'], { env: { TMPDIR: directory } });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(performance.now() - startedMs).toBeLessThan(TIME_MAX_MS);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(1);
    const result = JSON.parse(lines[0] ?? '');
    expect(result).toMatchObject({
      ok: true,
      lost: 0,
      duplicates: 0,
      outOfOrder: 0,
      undeclaredGaps: 0,
    });
    expect(result.tags, 'of the example').toBeGreaterThanOrEqual(200);
    expect(result.produced).toBeGreaterThan(1000);
    expect(result.archived).toBeGreaterThan(result.produced * 0.9);
    expect(result.archived + result.declared + result.superseded).toBe(result.produced);
    expect(result.outageMs).toBeGreaterThanOrEqual(10_000);
    expect(result.outageMs).toBeLessThan(12_000);
    expect(result.backlogPeakSamples).toBeGreaterThan(500);
    expect(result.drainMs).toBeGreaterThan(0);
    // Live values are there while the backlog still drains.
    expect(result.liveAfterMs).toBeLessThan(3000);
    expect(result.backlogWhenLive).toBeGreaterThan(0);
    expect(readdirSync(directory), 'its files are gone').toEqual([]);
  },
  2 * TIME_MAX_MS,
);
