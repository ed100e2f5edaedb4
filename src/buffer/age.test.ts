import { expect, it } from 'vitest';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { blocksOf, openTestRing } from './ring.fixture.ts';
import type { Ring } from './ring.ts';

const HOUR_MS = 3_600_000;
const MARK_MS = 60_000;

/** A ring in which data may be ten hours old, and time with an alive mark each minute. */
function setUp() {
  const clock = new SimulatedClock();
  const random = createSimulatedRandom(9);
  const disk = new SimulatedDisk(clock, random);
  const time = { isUncertain: false };
  const age = { maxAgeUnackedMs: 10 * HOUR_MS, isClockUncertain: () => time.isUncertain };
  const open = () => openTestRing(disk, { clock, random }, { policy: 'on-outage', age });
  const run = async (ring: Ring, hours: number): Promise<void> => {
    for (let ms = 0; ms < hours * HOUR_MS; ms += MARK_MS) {
      await clock.advance(MARK_MS);
      await ring.markAlive(clock.wallUs(), 1);
    }
  };
  return { clock, disk, time, open, run };
}

const heldOf = (ring: Ring) => ring.streams().map(({ held }) => held);

it('what nobody acknowledged for too long goes, whole segments, as a gap; the younger stays', async () => {
  const { open, run } = setUp();
  const ring = await open();
  const { streamId } = ring.stream;
  await ring.append(blocksOf(ring, 1, 2));
  await run(ring, 5);
  await ring.append(blocksOf(ring, 3, 4));
  await run(ring, 5.9);
  expect(heldOf(ring)).toEqual([[{ first: 1, last: 40 }]]);
  await run(ring, 0.3);
  expect(heldOf(ring), 'the first was sealed when it was an hour old').toEqual([[{ first: 21, last: 40 }]]);
  expect(ring.gaps()).toMatchObject([
    { streamId, firstSequence: 1, lastSequence: 20, reason: 'evicted', countAtMost: 20 },
  ]);
  await run(ring, 5);
  expect([heldOf(ring), ring.stat().lostByReason]).toEqual([[[]], { evicted: 40 }]);
  await ring.close();
});

it('nothing ages while the clock is unknown, nor while nothing runs', async () => {
  const { clock, time, open, run } = setUp();
  const first = await open();
  await first.append(blocksOf(first, 1, 2));
  await run(first, 6);
  time.isUncertain = true;
  await run(first, 20);
  time.isUncertain = false;
  await first.close();
  await clock.advance(100 * HOUR_MS);
  const ring = await open();
  await run(ring, 4);
  expect(ring.gaps()).toEqual([]);
  await run(ring, 2);
  expect(ring.gaps()).toMatchObject([{ firstSequence: 1, lastSequence: 20, reason: 'evicted' }]);
  await ring.close();
});

it('what was acknowledged is no loss, and without a limit nothing goes', async () => {
  const { clock, disk, open, run } = setUp();
  const ring = await open();
  await ring.append(blocksOf(ring, 1, 2));
  await ring.acknowledge(ring.stream.streamId, 20);
  await run(ring, 12);
  expect([ring.gaps(), ring.stat().lostByReason]).toEqual([[], {}]);
  await ring.append(blocksOf(ring, 3, 4));
  await ring.close();
  const unlimited = await openTestRing(disk, { clock, random: createSimulatedRandom(3) });
  await run(unlimited, 12);
  expect(unlimited.gaps()).toEqual([]);
  await unlimited.close();
});

it('what was acknowledged is kept for as long as it may be, and then goes without a gap', async () => {
  const { clock, disk, time, run } = setUp();
  const age = { maxAgeAcknowledgedMs: 10 * HOUR_MS, isClockUncertain: () => time.isUncertain };
  const world = { clock, random: createSimulatedRandom(5) };
  const ring = await openTestRing(disk, world, { policy: 'always', age });
  const { streamId } = ring.stream;
  const kept = async (): Promise<number> =>
    (await ring.read(streamId, { first: 1, last: 40 }, 1_000_000)).blocks.length;
  await ring.append(blocksOf(ring, 1, 2));
  await ring.acknowledge(streamId, 20);
  await run(ring, 2);
  await ring.append(blocksOf(ring, 3, 4));
  await run(ring, 8);
  expect(await kept()).toBe(4);
  await run(ring, 1.2);
  expect(await kept(), 'what nobody acknowledged stays').toBe(2);
  await run(ring, 20);
  expect([await kept(), ring.gaps(), ring.stat().lostByReason]).toEqual([2, [], {}]);
  expect(await disk.list(), 'its directory is gone').not.toContain('segment-0000000001');
  await ring.close();
});
