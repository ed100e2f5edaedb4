import { expect, test } from 'vitest';
import { type Coverage, coverWithData, coverWithGap } from '../domain/coverage.ts';
import { isKomError } from '../domain/errors.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { positionKey } from './record.ts';
import { ringContract } from './ring.contract.ts';
import { blocksOf, drained, openTestRing, START_US, sequencesOf } from './ring.fixture.ts';
import type { Ring, RingOptions } from './ring.ts';

const DATA_SEGMENT = 'segment-0000000001';

function makeWorld(seed = 1) {
  const clock = new SimulatedClock();
  const random = createSimulatedRandom(seed);
  const disk = new SimulatedDisk(clock, random);
  const open = (options: Partial<RingOptions> = {}) => openTestRing(disk, { clock, random }, options);
  const pass = async (ms: number) => await clock.advance(ms);
  return { clock, random, disk, open, pass };
}

/** What a Kernel would cover of a stream if it got everything that the ring has, blocks and gaps. */
async function coverageOf(ring: Ring, streamId: string): Promise<Coverage> {
  let coverage: Coverage = [];
  for (const range of sequencesOf(await drained(ring)).get(streamId) ?? []) {
    coverage = coverWithData(coverage, range).coverage;
  }
  for (const gap of ring.gaps().filter((each) => each.streamId === streamId)) {
    const range = { first: gap.firstSequence, last: gap.lastSequence };
    coverage = coverWithGap(coverage, range, gap.reason).coverage;
  }
  return coverage;
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

test('one flipped bit costs one block, which becomes a gap of its exact range', async () => {
  const { disk, open } = makeWorld();
  const ring = await open();
  await ring.append(blocksOf(ring, 1, 30));
  for (const position of [1, 5, 30]) {
    const name = position === 30 ? 'segment-0000000005' : DATA_SEGMENT;
    disk.flipBit(name, positionKey(position), 4321);
  }
  disk.forget(DATA_SEGMENT, positionKey(7));
  expect(sequencesOf(await drained(ring)).get(ring.stream.streamId)).toEqual([
    { first: 11, last: 40 },
    { first: 51, last: 60 },
    { first: 71, last: 290 },
  ]);
  const ms = (us: number): number => (us - START_US) / 1000;
  const lost = ring.gaps().map(({ reason, firstSequence, lastSequence, countAtMost, fromUs, toUs }) => {
    return [reason, firstSequence, lastSequence, countAtMost, ms(fromUs), ms(toUs)];
  });
  // In time, from the end of the block before to the end of the one behind: a sample has its number of ms.
  expect(lost).toEqual([
    ['corrupt', 1, 10, 10, 1, 20],
    ['corrupt', 41, 50, 10, 40, 60],
    ['corrupt', 61, 70, 10, 60, 80],
    ['corrupt', 291, 300, 10, 290, 300],
  ]);
  await drained(ring);
  expect(ring.stat().lostByReason).toEqual({ corrupt: 40 });
  await ring.append(blocksOf(ring, 31, 31));
  expect((await drained(ring)).at(-1)?.block.header.firstSequence).toBe(301);
});

test('a lost meta database is rebuilt from the segments; what is not there becomes a gap', async () => {
  const { disk, open } = makeWorld();
  const first = await open();
  await first.append(blocksOf(first, 1, 20));
  await first.close();
  const second = await open();
  for (let at = 1; at <= 105; at += 5) await second.append(blocksOf(second, at, at + 4));
  const evicted = second.gaps();
  const held = sequencesOf(await drained(second));
  await second.close();
  await disk.remove('meta');
  const third = await open();
  expect(sequencesOf(await drained(third))).toEqual(held);
  const heldFrom = held.get(second.stream.streamId)?.[0]?.first ?? 0;
  const firstHeldFrom = held.get(first.stream.streamId)?.[0]?.first;
  expect(evicted.length).toBeGreaterThan(0);
  expect(firstHeldFrom === undefined || heldFrom === 1).toBe(true);
  for (const { streamId } of evicted.filter((gap) => held.has(gap.streamId))) {
    expect((await coverageOf(third, streamId))[0]).toMatchObject({ first: 1, state: 'corrupt' });
  }
  expect(third.stream.previous).toMatchObject({
    streamId: second.stream.streamId,
    lastDurableSequence: 1050,
    endedCleanly: false,
  });
});

test('a damaged meta database is repaired or set aside; a damaged value in it is found', async () => {
  for (const how of ['repairable', 'beyond-repair', 'bit'] as const) {
    const { disk, open } = makeWorld();
    const ring = await open();
    await ring.append(blocksOf(ring, 1, 30));
    await ring.close();
    if (how !== 'bit') disk.damage('meta', how);
    else for (const key of disk.keys('meta')) disk.flipBit('meta', key, 77);
    const again = await open();
    expect(await coverageOf(again, ring.stream.streamId)).toEqual([{ first: 1, last: 300, state: 'data' }]);
    expect(again.stream.previous?.streamId).toBe(ring.stream.streamId);
    await again.append(blocksOf(again, 1, 1));
    await again.close();
    const last = await open();
    expect(last.stream.previous?.streamId).toBe(again.stream.streamId);
    expect(await disk.list('quarantine')).toHaveLength(how === 'beyond-repair' ? 1 : 0);
  }
});

test('a segment that does not open is repaired, or else set aside with a gap', async () => {
  const { clock, disk, open } = makeWorld();
  const ring = await open();
  await ring.append(blocksOf(ring, 1, 40));
  await ring.close();
  disk.damage(DATA_SEGMENT, 'repairable');
  disk.damage('segment-0000000003', 'beyond-repair');
  disk.damage('segment-0000000007', 'beyond-repair');
  const again = await open();
  const failures: unknown[] = [];
  for (let attempt = 0; attempt < 12; attempt += 1) {
    await drained(again).catch((error) => failures.push(error));
    await clock.advance(1000);
  }
  expect(failures.every((error) => isKomError(error, 'KOM_STORE_READ'))).toBe(true);
  const states = (await coverageOf(again, ring.stream.streamId)).map(({ state }) => state);
  expect(states).toEqual(['data', 'corrupt', 'data', 'corrupt']);
  expect(await disk.list('quarantine')).toEqual(['0001-segment-0000000007', '0002-segment-0000000003']);
  await again.append(blocksOf(again, 1, 1));
  await again.close();
});

test('a deleted segment becomes a gap, a foreign directory goes to a bounded quarantine', async () => {
  const { disk, open } = makeWorld();
  const ring = await open();
  await ring.append(blocksOf(ring, 1, 40));
  await ring.close();
  await disk.remove('segment-0000000003');
  for (let at = 1; at <= 7; at += 1) await (await disk.open(`foreign-${at}`)).close();
  const again = await open();
  const coverage = await coverageOf(again, ring.stream.streamId);
  expect(coverage.map(({ state }) => state)).toEqual(['data', 'corrupt', 'data']);
  expect(coverage.at(-1)?.last).toBe(400);
  expect(await disk.list('quarantine')).toEqual([4, 5, 6, 7].map((at) => `000${at}-foreign-${at}`));
  expect((await disk.list()).filter((name) => name.startsWith('foreign'))).toEqual([]);
});

test('a segment that somebody brought back is taken in', async () => {
  const { disk, open } = makeWorld();
  const ring = await open();
  await ring.append(blocksOf(ring, 1, 40));
  await ring.close();
  await disk.rename('segment-0000000003', 'aside/copy');
  const without = await open();
  expect(without.gaps()).toHaveLength(1);
  await without.close();
  await disk.rename('aside/copy', 'segment-0000000003');
  const again = await open();
  expect(sequencesOf(await drained(again)).get(ring.stream.streamId)).toEqual([{ first: 1, last: 400 }]);
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
