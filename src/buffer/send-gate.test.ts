import { expect, it } from 'vitest';
import { type Block, lastSequence } from '../domain/block/block.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { Backlog } from './backlog.ts';
import { dropHeld } from './drop.ts';
import { blocksOf, openTestRing, smallBlocks } from './ring.fixture.ts';

async function setUp(policy: 'always' | 'on-outage') {
  const random = createSimulatedRandom(5);
  const clock = new SimulatedClock();
  const ring = await openTestRing(new SimulatedDisk(clock, random), { clock, random });
  const backlog = new Backlog({
    policy,
    spillAgeMs: 500,
    windowBytes: 1_000_000,
    ring,
    clock,
    log: silentLog,
  });
  return { clock, ring, backlog, streamId: ring.stream.streamId };
}

async function drain(backlog: Backlog): Promise<string> {
  const all: Block[] = [];
  for (let blocks = await backlog.next(700); blocks.length > 0; blocks = await backlog.next(700))
    all.push(...blocks);
  return all.map(({ header }) => `${header.firstSequence}-${lastSequence(header)}`).join(' ');
}

it.each(['always', 'on-outage'] as const)(
  'on request (%s) nothing goes before it is released',
  async (policy) => {
    const { clock, ring, backlog, streamId } = await setUp(policy);
    backlog.linkUp();
    backlog.setSendMode('on-request');
    for (const block of blocksOf(ring, 1, 5)) backlog.accept(block);
    await clock.advance(1000);
    expect(await drain(backlog)).toBe('');
    expect(backlog.state).toBe('outage');
    expect(ring.stat().samples, 'what waits is in the ring').toBe(50);

    backlog.release();
    expect(backlog.state).toBe('catch-up');
    for (const block of blocksOf(ring, 6, 7)) backlog.accept(block);
    await clock.advance(1000);
    expect(await drain(backlog), 'up to now, and not what came since').toBe('1-10 11-20 21-30 31-40 41-50');
    expect(backlog.state).toBe('outage');
    backlog.rewind();
    expect(await drain(backlog), 'a new session has it again').toBe('1-10 11-20 21-30 31-40 41-50');
    backlog.acknowledge(streamId, 50);

    backlog.replay({ streamId, first: 61, last: 65 });
    expect(await drain(backlog), 'a range that somebody asked for goes').toBe('61-70');
    backlog.setSendMode('auto');
    expect(await drain(backlog)).toBe('51-60 61-70');
  },
);

/** A ring whose first segment is sealed and its blocks joined, across whatever was asked of it before. */
async function joined(during: (backlog: Backlog) => Promise<void> | void) {
  const { clock, ring, backlog, streamId } = await setUp('always');
  backlog.setSendMode('on-request');
  let last = 0;
  const accept = async (count: number) => {
    for (const block of smallBlocks(ring, last + 1, last + 8 * count)) backlog.accept(block);
    last += 8 * count;
    await clock.advance(1000);
  };
  await accept(10);
  await during(backlog);
  while (ring.stat().segments === 1) await accept(10);
  await accept(1);
  expect(ring.stat().blocks).toBeLessThan(20);
  backlog.linkUp();
  return { backlog, streamId, first: ring.stat().samples };
}

it('a joined block that begins with what is released goes, though it ends behind it', async () => {
  const { backlog } = await joined((each) => each.release());
  const [first, ...others] = (await drain(backlog)).split(' ');
  expect(first).toMatch(/^1-\d{3}$/);
  expect(others).toEqual([]);
});

it('what was dropped is not given out with what came after it', async () => {
  const { backlog } = await joined(async (each) => {
    each.acknowledge(each.streams().at(-1)?.info.streamId ?? '', 36);
    await dropHeld(each, 1);
  });
  backlog.setSendMode('auto');
  expect(await drain(backlog)).toMatch(/^81-/);
});

it('a backlog that is dropped becomes gap records and is not given out', async () => {
  const { clock, ring, backlog, streamId } = await setUp('always');
  for (const block of blocksOf(ring, 1, 5)) backlog.accept(block);
  await clock.advance(1000);
  backlog.acknowledge(streamId, 20);
  expect(await dropHeld(backlog, clock.wallUs())).toBe(30);
  backlog.linkUp();
  for (const block of blocksOf(ring, 6, 6)) backlog.accept(block);
  await clock.advance(1000);
  expect(await drain(backlog)).toBe('51-60');
  expect(backlog.gaps()).toMatchObject([
    { streamId, firstSequence: 21, lastSequence: 50, reason: 'dropped', countAtMost: 30 },
  ]);
  backlog.acknowledge(streamId, 60);
  expect(backlog.gaps()).toEqual([]);
  expect(await dropHeld(backlog, clock.wallUs())).toBe(0);
});
