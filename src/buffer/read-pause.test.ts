import { expect, test } from 'vitest';
import { lastSequence } from '../domain/block/block.ts';
import { coverWithData } from '../domain/coverage.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { Backlog } from './backlog.ts';
import { blocksOf, openTestRing, SMALL_DICTIONARY, smallBlocks } from './ring.fixture.ts';
import { segmentName } from './segment.ts';

/** A backlog of forty blocks in several segments of the ring, and a Kernel that takes what it is given. */
async function setUp() {
  const clock = new SimulatedClock();
  const random = createSimulatedRandom(5);
  const disk = new SimulatedDisk(clock, random);
  const ring = await openTestRing(disk, { clock, random }, { policy: 'on-outage' });
  const log = silentLog;
  const backlog = new Backlog({ ring, policy: 'on-outage', spillAgeMs: 500, windowBytes: 1e6, clock, log });
  for (const block of blocksOf(ring, 1, 40)) backlog.accept(block);
  await clock.advance(1000);
  expect(ring.stat()).toMatchObject({ samples: 400 });
  const { streamId } = ring.stream;
  let kernel: ReturnType<typeof coverWithData>['coverage'] = [];
  /** Sends what there is until nothing comes; how many samples were new to the Kernel. */
  const send = async (): Promise<number> => {
    let fresh = 0;
    for (;;) {
      const blocks = await backlog.next(5000);
      if (blocks.length === 0) break;
      for (const { header } of blocks) {
        const range = { first: header.firstSequence, last: lastSequence(header) };
        const { coverage, changed } = coverWithData(kernel, range);
        kernel = coverage;
        fresh += changed.reduce((sum, { first, last }) => sum + last - first + 1, 0);
      }
    }
    const [first] = kernel;
    if (first?.first === 1) backlog.acknowledge(streamId, first.last);
    return fresh;
  };
  return { clock, disk, ring, backlog, send };
}

test('a disk that gives nothing ends no session: what is in memory goes, then the rest', async () => {
  const { clock, disk, ring, backlog, send } = await setUp();
  backlog.linkUp();
  disk.failing = 'all';
  expect(await send()).toBe(0);
  for (let at = 41; at <= 50; at++) {
    for (const block of blocksOf(ring, at, at)) backlog.accept(block);
    await clock.advance(1000);
    expect(await send()).toBe(10);
    expect(backlog.state).toBe('catch-up');
  }
  disk.failing = 'nothing';
  await clock.advance(5000);
  expect(await send()).toBe(400);
  await clock.advance(1000);
  await send();
  expect(backlog.stat()).toMatchObject({ state: 'online', samples: 0 });
  expect(ring.gaps()).toEqual([]);
});

test('a damaged segment is repaired or given up within seconds, with nothing asked of the link', async () => {
  const { clock, disk, ring, backlog } = await setUp();
  await ring.close();
  disk.damage('segment-0000000003', 'beyond-repair');
  disk.damage('segment-0000000005', 'repairable');
  const random = createSimulatedRandom(6);
  const again = await openTestRing(disk, { clock, random }, { policy: 'on-outage' });
  await backlog.close();
  const log = silentLog;
  const next = new Backlog({
    ...{ ring: again, policy: 'on-outage', spillAgeMs: 500, windowBytes: 1e6 },
    ...{ clock, log },
  });
  next.linkUp();
  let samples = 0;
  for (let second = 0; second < 20; second++) {
    for (let blocks = await next.next(5000); blocks.length > 0; blocks = await next.next(5000)) {
      samples += blocks.reduce((sum, { header }) => sum + header.count, 0);
    }
    await clock.advance(1000);
  }
  const lost = again.gaps().reduce((sum, { countAtMost }) => sum + countAtMost, 0);
  expect(again.gaps().map(({ reason }) => reason)).toEqual(['corrupt']);
  expect(samples + lost).toBe(400);
  await next.close();
});

test('the ring is asked at growing intervals, and not for each block that comes', async () => {
  const { clock, disk, ring, backlog } = await setUp();
  backlog.linkUp();
  disk.failing = 'all';
  const asked: number[] = [];
  const read = ring.readUnacknowledged.bind(ring);
  ring.readUnacknowledged = (...args) => {
    asked.push(clock.monotonicMs());
    return read(...args);
  };
  const startMs = clock.monotonicMs();
  for (let step = 0; step < 200; step++) {
    await backlog.next(5000);
    await clock.advance(100);
  }
  expect(asked.length).toBeGreaterThanOrEqual(5);
  expect(asked.length).toBeLessThanOrEqual(7);
  expect((asked[1] ?? 0) - startMs).toBeLessThanOrEqual(1300);
});

test('a dictionary is taken from another segment than one that does not read', async () => {
  const clock = new SimulatedClock();
  const random = createSimulatedRandom(5);
  const disk = new SimulatedDisk(clock, random);
  const ring = await openTestRing(disk, { clock, random });
  await ring.putDictionary(SMALL_DICTIONARY);
  for (const block of smallBlocks(ring, 1, 32_000, 400)) await ring.append([block]);
  for (const block of blocksOf(ring, 3201, 3215)) await ring.append([block]);
  const holders = ring.facts().segments.filter(({ dictionaries }) => dictionaries.length > 0);
  expect(holders.length).toBeGreaterThanOrEqual(2);
  expect(holders.length).toBeLessThan(ring.facts().segments.length);
  await ring.close();
  disk.damage(segmentName(holders.at(-1)?.number ?? 0), 'beyond-repair');
  const again = await openTestRing(disk, { clock, random });
  const bytes = await again.dictionary(SMALL_DICTIONARY.hash);
  expect(Buffer.from(bytes ?? [])).toEqual(Buffer.from(SMALL_DICTIONARY.bytes));
  await again.close();
});
