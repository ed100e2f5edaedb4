import { expect, test } from 'vitest';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { blockOf, drained, openTestRing } from './ring.fixture.ts';
import type { Ring } from './ring.ts';

const CAPACITY_BYTES = 1_000_000;
const SYNC_MS = 100;

async function setUp() {
  const clock = new SimulatedClock();
  const random = createSimulatedRandom(3);
  const disk = new SimulatedDisk(clock, random);
  const open = () => openTestRing(disk, { clock, random }, { capacityBytes: CAPACITY_BYTES });
  const ring = await open();
  return { clock, disk, open, ring };
}

/** About ten of them fill a segment. */
function blockAt(ring: Ring, at: number) {
  return blockOf(ring.stream.streamId, (at - 1) * 10 + 1, 10, 9000);
}

test('an append never waits for the change to another segment', async () => {
  const { clock, disk, ring } = await setUp();
  await ring.append([blockAt(ring, 1)]);
  disk.syncMs = { min: SYNC_MS, max: SYNC_MS };
  const tookMs: number[] = [];
  for (let at = 2; at <= 150; at += 1) {
    const startMs = clock.monotonicMs();
    await clock.runUntil(ring.append([blockAt(ring, at)]));
    tookMs.push(clock.monotonicMs() - startMs);
    await clock.advance(3 * SYNC_MS);
  }
  expect(Math.max(...tookMs)).toBe(SYNC_MS);
  expect(ring.stat().segments).toBeGreaterThan(8);
  expect(ring.stat().diskBytes).toBeLessThanOrEqual(CAPACITY_BYTES);
  expect(ring.stat().lostByReason.evicted).toBeGreaterThan(0);
});

test('an append waits for one other job at most, alive marks and segment changes among them', async () => {
  const { clock, disk, ring } = await setUp();
  disk.syncMs = { min: SYNC_MS, max: SYNC_MS };
  let mostMs = 0;
  const mark = clock.repeat('mark', 430, () => void ring.markAlive(clock.wallUs(), 1e6));
  for (let at = 1; at <= 120; at += 1) {
    const startMs = clock.monotonicMs();
    await clock.runUntil(ring.append([blockAt(ring, at)]));
    if (at > 1) mostMs = Math.max(mostMs, clock.monotonicMs() - startMs);
    await clock.advance(at % 7 === 0 ? 250 : 170);
  }
  mark.cancel();
  expect(mostMs).toBeLessThanOrEqual(2 * SYNC_MS);
});

test('a segment that was made ahead and never used is gone after the next start', async () => {
  const { clock, disk, open, ring } = await setUp();
  for (let at = 1; at <= 9; at += 1) await ring.append([blockAt(ring, at)]);
  // The process dies when the database of the next segment is there and not listed yet.
  disk.beforeOperation = () => disk.killProcess();
  await ring.append([blockAt(ring, 10)]).catch(() => undefined);
  await clock.advance(10);
  disk.beforeOperation = undefined;
  await (await disk.open('segment-0000000003')).close();
  const again = await open();
  expect(await disk.list('quarantine')).toEqual([]);
  expect((await disk.list()).filter((name) => name.startsWith('segment'))).toEqual(['segment-0000000001']);
  expect((await drained(again)).length).toBeGreaterThanOrEqual(9);
});

test('a next segment that cannot be made ahead is made when it is needed', async () => {
  const { clock, disk, ring } = await setUp();
  for (let at = 1; at <= 9; at += 1) await ring.append([blockAt(ring, at)]);
  disk.beforeOperation = () => {
    disk.failing = 'nothing';
  };
  await ring.append([blockAt(ring, 10)]);
  disk.failing = 'write';
  await clock.advance(10);
  disk.failing = 'nothing';
  disk.beforeOperation = undefined;
  await clock.advance(1000);
  for (let at = 11; at <= 30; at += 1) await ring.append([blockAt(ring, at)]);
  expect(await drained(ring)).toHaveLength(30);
});
