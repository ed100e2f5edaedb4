import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { drained, openTestRing, sequencesOf } from '../../src/buffer/ring.fixture.ts';
import type { StorePolicy } from '../../src/config/model.ts';
import { joinTouching } from '../../src/domain/coverage.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { openLevelDisk } from '../../src/world/real/level-disk.ts';
import { createRandom } from '../../src/world/real/random.ts';

const KILLS = 6;
const CHILD = join(import.meta.dirname, '../integration/ring-kill-child.ts');
const root = await mkdtemp(join(tmpdir(), 'kom-ring-kill-'));

afterAll(() => rm(root, { recursive: true, force: true }));

/** Lets a child append, kills it some time after its first append, and returns what it said was durable. */
async function runAndKill(
  path: string,
  policy: StorePolicy,
  size: 'large' | 'small',
): Promise<{ streamId: string; resolved: number }> {
  const child = spawn(process.execPath, [CHILD, path, policy, size], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (bytes: Buffer) => {
    if (said === '') setTimeout(() => child.kill('SIGKILL'), Math.random() * (size === 'small' ? 1500 : 300));
    said += bytes.toString();
  });
  await once(child, 'close');
  expect(child.signalCode, 'the child ran until it was killed').toBe('SIGKILL');
  const [streamId = '', resolved = '0'] =
    said.slice(0, said.lastIndexOf('\n')).split('\n').at(-1)?.split(' ') ?? [];
  return { streamId, resolved: Number(resolved) };
}

test.each([
  ['always', 'large'],
  ['on-outage', 'large'],
  ['always', 'small'],
] as const)('with the policy %s and %s blocks a kill loses nothing durable', async (policy, size) => {
  const path = join(root, `${policy}-${size}`);
  let joined = 0;
  const world = { clock: createClock(), random: createRandom() };
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const { streamId, resolved } = await runAndKill(path, policy, size);
    const ring = await openTestRing(await openLevelDisk(path), world, { policy });
    const stream = ring.streams().find(({ info }) => info.streamId === streamId);
    const held = sequencesOf(await drained(ring)).get(streamId) ?? [];
    const gaps = ring.gaps().filter((gap) => gap.streamId === streamId);
    expect(gaps.filter(({ reason }) => reason !== 'evicted')).toEqual([]);
    const acked = stream === undefined ? [] : [{ first: 1, last: stream.ackedThrough }];
    const lost = gaps.map((gap) => ({ first: gap.firstSequence, last: gap.lastSequence }));
    const all = joinTouching([...acked, ...held, ...lost].sort((a, b) => a.first - b.first));
    expect(resolved).toBeGreaterThan(0);
    expect(all).toHaveLength(1);
    expect(all[0]?.first).toBe(1);
    expect(all[0]?.last).toBeGreaterThanOrEqual(resolved);
    expect(ring.stream.previous).toMatchObject({ streamId, endedCleanly: false });
    expect(ring.stream.previous?.lastDurableSequence).toBe(all[0]?.last);
    joined += ring.facts().segments.filter(({ blocks, samples }) => samples > 50 * blocks).length;
    expect(await (await openLevelDisk(path)).list('quarantine')).toEqual([]);
    await ring.close();
  }
  if (size === 'small') expect(joined).toBeGreaterThan(0);
});
