import { expect, test } from 'vitest';
import { encodeDictionary } from '../domain/dictionary-codec.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { blocksOf, DICTIONARY_HASH, drained, openTestRing, sequencesOf } from './ring.fixture.ts';
import type { RingOptions } from './ring.ts';

function makeWorld(seed = 1) {
  const clock = new SimulatedClock();
  const random = createSimulatedRandom(seed);
  const disk = new SimulatedDisk(clock, random);
  const open = (options: Partial<RingOptions> = {}) => openTestRing(disk, { clock, random }, options);
  return { clock, random, disk, open };
}

/** A disk with a run on it that was cut off, its gaps told to nobody, which then takes no write. */
async function makeUsed(seed = 1) {
  const world = makeWorld(seed);
  const before = await world.open();
  await before.append(blocksOf(before, 1, 120));
  await before.markAlive(77, 1201);
  const gaps = before.gaps();
  const held = sequencesOf(await drained(before));
  world.disk.killProcess();
  return { ...world, before, gaps, held };
}

const REFUSALS: readonly [string, (disk: SimulatedDisk) => void][] = [
  ['full', (disk) => (disk.totalBytes = 0)],
  ['read-only', (disk) => (disk.failing = 'write')],
  ['dead', (disk) => (disk.failing = 'all')],
];

function heal(disk: SimulatedDisk): void {
  disk.totalBytes = Number.MAX_SAFE_INTEGER;
  disk.failing = 'nothing';
}

test.each(REFUSALS)(
  'a start on a %s disk succeeds, claims nothing, and touches nothing',
  async (_, refuse) => {
    const { clock, disk, open, before } = await makeUsed();
    refuse(disk);
    const ring = await open();
    expect(ring.stat()).toMatchObject({ state: 'volatile', lastError: expect.any(String) });
    expect(ring.stream.previous).toBeNull();
    expect(ring.stream.streamId).not.toBe(before.stream.streamId);
    for (let attempt = 0; attempt < 5; attempt += 1) {
      await expect(ring.append(blocksOf(ring, 1, 1))).rejects.toMatchObject({ code: 'KOM_STORE_WRITE' });
      await expect(ring.markAlive(1, 11)).rejects.toMatchObject({ code: 'KOM_STORE_WRITE' });
      await clock.advance(1000);
    }
    expect(await drained(ring)).toEqual([]);
    expect(ring.gaps()).toEqual([]);
    await ring.close();
    heal(disk);
    const again = await open();
    expect(again.stream.previous).toMatchObject({ streamId: before.stream.streamId, aliveUntilUs: 77 });
    expect(again.gaps()).toEqual(before.gaps());
    expect(await disk.list('quarantine')).toEqual([]);
    expect(await disk.list()).not.toContain('probe');
  },
);

test.each(REFUSALS)(
  'when a %s disk heals, the same stream is minted durably behind the old ones',
  async (_, refuse) => {
    const { clock, disk, open, before, gaps, held } = await makeUsed();
    refuse(disk);
    const ring = await open();
    const { streamId, startedAtUs } = ring.stream;
    let isMinted = false;
    ring.minted.then(() => (isMinted = true));
    const dictionary = encodeDictionary({ site: 's', process: 'p', tags: [] });
    await ring.putDictionary({ ...dictionary, hash: DICTIONARY_HASH });
    await ring.acknowledge(streamId, 30);
    await clock.advance(5000);
    expect(isMinted).toBe(false);
    heal(disk);
    await ring.markAlive(startedAtUs, 61);
    await clock.advance(1);
    expect(isMinted).toBe(true);
    expect(ring.stream).toMatchObject({ streamId, startedAtUs });
    expect(ring.stream.previous).toMatchObject({
      streamId: before.stream.streamId,
      lastDurableSequence: 1200,
      endedCleanly: false,
      aliveUntilUs: 77,
    });
    expect(ring.gaps()).toEqual(gaps);
    expect(sequencesOf(await drained(ring))).toEqual(held);
    expect(await ring.append(blocksOf(ring, 4, 6))).toMatchObject({ stored: [{ first: 31, last: 60 }] });
    expect(ring.stat().state).toBe('healthy');
    expect(ring.streams().at(-1)).toMatchObject({ ackedThrough: 30, durableThrough: 60 });
    expect(await ring.dictionary(DICTIONARY_HASH)).toEqual(dictionary.bytes);
    disk.cutPower();
    const again = await open();
    expect(again.stream.previous).toMatchObject({ streamId, lastDurableSequence: 60 });
  },
);

test('a late start that fails half-way, wherever, mints one stream', async () => {
  for (let at = 1; at <= 24; at += 1) {
    const { clock, disk, open, before } = await makeUsed(at);
    const start = disk.operations;
    disk.beforeOperation = () => {
      disk.failing = disk.operations - start === at ? 'write' : 'nothing';
    };
    const ring = await open();
    await clock.advance(1000);
    await ring.append(blocksOf(ring, 1, 1)).catch(() => undefined);
    disk.beforeOperation = undefined;
    heal(disk);
    await clock.advance(1000);
    await ring.append(blocksOf(ring, 1, 2));
    const ids = ring.streams().map(({ info }) => info.streamId);
    expect(ids).toEqual([before.stream.streamId, ring.stream.streamId]);
    expect(ring.stream.previous?.streamId).toBe(before.stream.streamId);
    expect(sequencesOf(await drained(ring)).get(ring.stream.streamId)).toEqual([{ first: 1, last: 20 }]);
    disk.killProcess();
    const again = await open();
    expect(again.streams().map(({ info }) => info.streamId)).toEqual([...ids, again.stream.streamId]);
  }
});

test('the mark that opens the ring late does not pass over the pause before this run', async () => {
  const { clock, disk, open } = await makeUsed();
  disk.failing = 'all';
  const ring = await open();
  heal(disk);
  await clock.advance(1000);
  // Whoever made it could not know yet that there was a run before.
  await Promise.all([ring.append(blocksOf(ring, 1, 1)), ring.markAlive(9999, 11)]);
  expect(ring.stream.previous).toMatchObject({ aliveUntilUs: 77 });
  disk.killProcess();
  const again = await open();
  expect(again.stream.previous).toMatchObject({ streamId: ring.stream.streamId, aliveUntilUs: 77 });
  await again.close();
  disk.failing = 'all';
  const late = await open();
  heal(disk);
  await clock.advance(1000);
  await late.markAlive(9999, 1);
  await late.markAlive(99_999, 1);
  disk.killProcess();
  expect((await open()).stream.previous).toMatchObject({ aliveUntilUs: 99_999 });
});

test('a living holder is the one reason not to start', async () => {
  const { disk, open } = await makeUsed();
  disk.lock('meta', true);
  await expect(open()).rejects.toMatchObject({ code: 'KOM_STORE_LOCKED' });
});

test('a full disk does not make a segment count as damaged, however often it is tried', async () => {
  const { clock, disk, open } = makeWorld();
  const ring = await open();
  await ring.append(blocksOf(ring, 1, 30));
  disk.damage('segment-0000000001', 'repairable');
  await ring.append(blocksOf(ring, 31, 40));
  disk.totalBytes = 0;
  for (let attempt = 0; attempt < 8; attempt += 1) {
    await expect(drained(ring)).rejects.toMatchObject({ code: 'KOM_STORE_READ' });
    await clock.advance(1000);
  }
  heal(disk);
  for (let attempt = 0; attempt < 2; attempt += 1) {
    await expect(drained(ring)).rejects.toMatchObject({ code: 'KOM_STORE_READ' });
    await clock.advance(1000);
  }
  expect(await drained(ring)).toHaveLength(40);
  expect(ring.gaps()).toEqual([]);
});

test('directories that are deleted under way are noticed at the alive mark and become a gap', async () => {
  for (const gone of [['meta'], ['segment-0000000003'], ['segment-0000000007'], null]) {
    const { clock, disk, open } = makeWorld();
    const ring = await open();
    await ring.append(blocksOf(ring, 1, 40));
    const names = gone ?? (await disk.list());
    for (const name of names) await disk.remove(name);
    await expect(ring.markAlive(1, 401)).rejects.toMatchObject({ code: 'KOM_STORE_WRITE' });
    expect(ring.stat().state).toBe('degraded');
    await clock.advance(1000);
    await ring.append(blocksOf(ring, 41, 42));
    const held = sequencesOf(await drained(ring)).get(ring.stream.streamId) ?? [];
    const lost = ring.gaps().map((gap) => ({ first: gap.firstSequence, last: gap.lastSequence }));
    const all = [...held, ...lost].sort((a, b) => a.first - b.first);
    expect(all.map(({ first }) => first)).toEqual([1, ...all.slice(0, -1).map(({ last }) => last + 1)]);
    expect(all.at(-1)?.last).toBe(420);
    expect(lost.length).toBe(gone?.[0] === 'meta' ? 0 : 1);
    await ring.close();
    const again = await open();
    expect(again.stream.previous).toMatchObject({ streamId: ring.stream.streamId, lastDurableSequence: 420 });
    expect(again.gaps()).toEqual(ring.gaps());
  }
});
