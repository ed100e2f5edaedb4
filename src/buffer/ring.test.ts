import { expect, test } from 'vitest';
import { isKomError } from '../domain/errors.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { ringContract } from './ring.contract.ts';
import { blocksOf, coverageOf, drained, openTestRing, sequencesOf } from './ring.fixture.ts';
import type { RingOptions } from './ring.ts';

function makeWorld(seed = 1) {
  const clock = new SimulatedClock();
  const random = createSimulatedRandom(seed);
  const disk = new SimulatedDisk(clock, random);
  const open = (options: Partial<RingOptions> = {}) => openTestRing(disk, { clock, random }, options);
  const pass = async (ms: number) => await clock.advance(ms);
  return { clock, random, disk, open, pass };
}

ringContract('the simulated disk', async () => makeWorld());

test('at most three databases are open at one time', async () => {
  const { disk, open } = makeWorld();
  const ring = await open();
  await ring.append(blocksOf(ring, 1, 60));
  await drained(ring, 100);
  expect(disk.openMost).toBe(3);
});

test('appends of one call share one sync, unless a segment ends between them', async () => {
  const { disk, open } = makeWorld();
  const ring = await open();
  await ring.append(blocksOf(ring, 1, 1));
  const before = disk.operations;
  await ring.append(blocksOf(ring, 2, 6));
  expect(disk.operations - before).toBe(1);
});

test('below the free-disk floor the ring does not grow, and rotates', async () => {
  const { disk, open } = makeWorld();
  const ring = await open({ freeDiskFloorBytes: 30_000 });
  disk.totalBytes = 90_000;
  for (let at = 1; at <= 150; at += 1) await ring.append(blocksOf(ring, at, at));
  expect(await disk.freeBytes()).toBeGreaterThanOrEqual(30_000);
  expect(await coverageOf(ring, ring.stream.streamId)).toEqual([
    { first: 1, last: expect.any(Number), state: 'evicted' },
    { first: expect.any(Number), last: 1500, state: 'data' },
  ]);
});

test('nothing that was resolved is lost when the power goes at any operation', async () => {
  for (let at = 1; at <= 60; at += 1) {
    const { clock, disk, open } = makeWorld(at);
    disk.syncMs = { min: 1, max: 5 };
    const ring = await clock.runUntil(open());
    let resolved = 0;
    const start = disk.operations;
    const run = async () => {
      for (let block = 1; block <= 130; block += 3) {
        await ring.append(blocksOf(ring, block, block + 2));
        resolved = (block + 2) * 10;
        if (block % 9 === 1) await ring.markAlive(clock.wallUs(), resolved + 1);
      }
    };
    disk.beforeOperation = () => {
      if (disk.operations - start === at) disk.cutPower();
    };
    await clock.runUntil(run().catch(() => undefined));
    disk.beforeOperation = undefined;
    const again = await clock.runUntil(open());
    const coverage = await coverageOf(again, ring.stream.streamId);
    const end = coverage.at(-1)?.last ?? 0;
    expect(end).toBeGreaterThanOrEqual(resolved);
    expect(coverage[0]?.first ?? 1).toBe(1);
    expect(coverage.filter(({ state }) => state === 'corrupt')).toEqual([]);
    expect(coverage.length).toBeLessThanOrEqual(2);
    expect(again.stream.previous).toMatchObject({ endedCleanly: false, lastDurableSequence: end });
    await clock.runUntil(again.close());
  }
});

test('a gap that was told stays true over a power cut', async () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const { clock, random, disk, open } = makeWorld(seed);
    const ring = await clock.runUntil(open({ policy: 'on-outage' }));
    for (let at = 1; at <= 100 + random.below(60); at += 1) await ring.append(blocksOf(ring, at, at));
    const told = ring.gaps()[0];
    disk.cutPower();
    const again = await clock.runUntil(open({ policy: 'on-outage' }));
    const coverage = await coverageOf(again, ring.stream.streamId);
    if (told === undefined) expect(coverage[0]?.state).toBe('data');
    else expect(coverage[0]).toEqual({ first: 1, last: told.lastSequence, state: 'evicted' });
  }
});

test('a process killed at any operation leaves no lock and no loss', async () => {
  for (let at = 1; at <= 40; at += 3) {
    const { clock, disk, open } = makeWorld(at);
    const ring = await open();
    let resolved = 0;
    const start = disk.operations;
    disk.beforeOperation = () => {
      if (disk.operations - start === at) disk.killProcess();
    };
    try {
      for (let block = 1; block <= 130; block += 1) {
        await ring.append(blocksOf(ring, block, block));
        resolved = block * 10;
      }
    } catch (error) {
      expect(isKomError(error, 'KOM_STORE_WRITE')).toBe(true);
    }
    disk.beforeOperation = undefined;
    const again = await clock.runUntil(open());
    expect((await coverageOf(again, ring.stream.streamId)).at(-1)?.last ?? 0).toBeGreaterThanOrEqual(
      resolved,
    );
  }
});

test('a full disk degrades the ring, which keeps what it has and heals by itself', async () => {
  const { clock, disk, open } = makeWorld();
  const ring = await open();
  await ring.append(blocksOf(ring, 1, 5));
  disk.totalBytes = 0;
  await expect(ring.append(blocksOf(ring, 6, 6))).rejects.toMatchObject({ code: 'KOM_STORE_WRITE' });
  expect(ring.stat()).toMatchObject({ state: 'degraded', lastError: expect.stringContaining('full') });
  expect(await drained(ring)).toHaveLength(5);
  disk.totalBytes = Number.MAX_SAFE_INTEGER;
  const before = disk.operations;
  await expect(ring.append(blocksOf(ring, 6, 6))).rejects.toMatchObject({ code: 'KOM_STORE_WRITE' });
  expect(disk.operations).toBe(before);
  await clock.advance(1000);
  expect(await ring.append(blocksOf(ring, 6, 8))).toEqual({ stored: [{ first: 51, last: 80 }], refused: [] });
  expect(ring.stat()).toMatchObject({ state: 'healthy', lastError: expect.stringContaining('full') });
  expect(await coverageOf(ring, ring.stream.streamId)).toEqual([{ first: 1, last: 80, state: 'data' }]);
});

test('a write error at any operation loses nothing, whether or not the failed batch arrived', async () => {
  for (let at = 1; at <= 75; at += 2) {
    const { clock, disk, open } = makeWorld(at);
    const ring = await open();
    const start = disk.operations;
    disk.beforeOperation = () => {
      disk.failing = disk.operations - start === at ? 'write' : 'nothing';
    };
    for (let block = 1; block <= 130; block += 2) {
      const blocks = blocksOf(ring, block, block + 1);
      await ring.append(blocks).catch(async () => {
        await clock.advance(1000);
        await ring.append(blocks);
      });
    }
    const live = await coverageOf(ring, ring.stream.streamId);
    await ring.close();
    const again = await open();
    const coverage = await coverageOf(again, ring.stream.streamId);
    expect(coverage).toEqual(live);
    expect(coverage[0]?.first).toBe(1);
    expect(coverage.at(-1)).toMatchObject({ last: 1300, state: 'data' });
    expect(coverage.length).toBeLessThanOrEqual(2);
    await again.close();
  }
});

test('a disk that gives nothing any more costs nothing when it comes back', async () => {
  const { clock, disk, open } = makeWorld();
  const ring = await open();
  await ring.append(blocksOf(ring, 1, 30));
  disk.failing = 'all';
  for (let attempt = 0; attempt < 8; attempt += 1) {
    await expect(drained(ring)).rejects.toThrow();
    await clock.advance(1000);
  }
  expect(ring.gaps()).toEqual([]);
  disk.failing = 'nothing';
  await clock.advance(1000);
  expect(await coverageOf(ring, ring.stream.streamId)).toEqual([{ first: 1, last: 300, state: 'data' }]);
});

test('a number that is acknowledged beyond what was sent does not raise the watermark', async () => {
  const { open } = makeWorld();
  const ring = await open({ policy: 'always' });
  await ring.append(blocksOf(ring, 1, 2));
  await ring.acknowledge(ring.stream.streamId, 5000);
  await ring.append(blocksOf(ring, 3, 4));
  expect(ring.streams()[0]?.ackedThrough).toBe(20);
  expect(await drained(ring)).toHaveLength(2);
});

test('the slowest sync of the last hour is told, and forgotten after it', async () => {
  const { clock, disk, open } = makeWorld();
  const ring = await open();
  disk.syncMs = { min: 700, max: 700 };
  await clock.runUntil(ring.append(blocksOf(ring, 1, 1)));
  expect(ring.stat().slowestSyncMs).toBe(700);
  await clock.advance(3_700_000);
  expect(ring.stat().slowestSyncMs).toBe(0);
});

test('a batch that failed and arrived all the same is kept, whatever is appended next', async () => {
  const outcomes = new Set<number>();
  for (let seed = 1; seed <= 12; seed += 1) {
    const { clock, disk, open } = makeWorld(seed);
    const ring = await open();
    await ring.append(blocksOf(ring, 1, 2));
    disk.failing = 'write';
    await expect(ring.append(blocksOf(ring, 3, 5))).rejects.toMatchObject({ code: 'KOM_STORE_WRITE' });
    disk.failing = 'nothing';
    await clock.advance(1000);
    await ring.append(blocksOf(ring, 6, 6));
    const held = sequencesOf(await drained(ring)).get(ring.stream.streamId);
    expect(held?.at(-1)?.last).toBe(60);
    outcomes.add(held?.length ?? 0);
    disk.cutPower();
    const again = await open();
    expect(sequencesOf(await drained(again)).get(ring.stream.streamId)).toEqual(held);
  }
  expect([...outcomes].sort()).toEqual([1, 2]);
});

test('history leaves room for others, and the backlog still takes the whole capacity', async () => {
  const { open } = makeWorld();
  const ring = await open({ historyBytesMax: 50_000 });
  for (let at = 1; at <= 150; at += 1) {
    await ring.append(blocksOf(ring, at, at));
    await ring.acknowledge(ring.stream.streamId, at * 10);
  }
  expect(ring.stat().diskBytes).toBeLessThanOrEqual(60_000);
  expect(ring.stat().diskBytes).toBeGreaterThan(30_000);
  for (let at = 151; at <= 300; at += 1) await ring.append(blocksOf(ring, at, at));
  expect(ring.stat().unacknowledgedBytes).toBeGreaterThan(80_000);
});
