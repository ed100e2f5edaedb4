import { expect, test } from 'vitest';
import { isKomError } from '../domain/errors.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { positionKey } from './record.ts';
import { blocksOf, coverageOf, drained, openTestRing, START_US, sequencesOf } from './ring.fixture.ts';

const DATA_SEGMENT = 'segment-0000000001';

function makeWorld() {
  const clock = new SimulatedClock();
  const random = createSimulatedRandom(1);
  const disk = new SimulatedDisk(clock, random);
  return { clock, disk, open: () => openTestRing(disk, { clock, random }) };
}

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

test('a segment or meta database of another user is waited for, and then whole', async () => {
  for (const name of [DATA_SEGMENT, 'meta']) {
    const { clock, disk, open } = makeWorld();
    const ring = await open();
    await ring.append(blocksOf(ring, 1, 40));
    await ring.close();
    disk.denied.add(name);
    const again = await open();
    for (let attempt = 0; attempt < 10; attempt += 1) {
      await drained(again).catch(() => undefined);
      await clock.advance(1000);
    }
    disk.denied.delete(name);
    await clock.advance(60_000);
    await again.append(blocksOf(again, 1, 1));
    expect(
      (await coverageOf(again, ring.stream.streamId)).map(({ state }) => state),
      name,
    ).toEqual(['data']);
    expect(await disk.list('quarantine')).toEqual([]);
    await again.close();
  }
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
