import { expect, it } from 'vitest';
import { type Block, lastSequence } from '../domain/block/block.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { Backlog } from './backlog.ts';
import { blocksOf, openTestRing } from './ring.fixture.ts';

async function setUp() {
  const random = createSimulatedRandom(5);
  const clock = new SimulatedClock();
  const ring = await openTestRing(new SimulatedDisk(clock, random), { clock, random });
  const options = { policy: 'always', spillAgeMs: 500, windowBytes: 1_000_000 } as const;
  const backlog = new Backlog({ ...options, ring, clock, log: silentLog });
  for (const block of blocksOf(ring, 1, 10)) backlog.accept(block);
  await clock.advance(1000);
  return { clock, ring, backlog };
}

async function drain(backlog: Backlog, limitBytes = 100_000): Promise<string> {
  const all: Block[] = [];
  for (;;) {
    const blocks = await backlog.next(limitBytes);
    if (blocks.length === 0) break;
    all.push(...blocks);
  }
  return all.map(({ header }) => `${header.firstSequence}-${lastSequence(header)}`).join(' ');
}

it('a range is given out again, behind all that is due, once, as the blocks it touches', async () => {
  const { ring, backlog } = await setUp();
  const { streamId } = ring.stream;
  backlog.linkUp();
  await drain(backlog);
  backlog.acknowledge(streamId, 100);
  expect(await drain(backlog)).toBe('');
  backlog.replay({ streamId, first: 15, last: 41 });
  expect(backlog.stat().replays).toBe(1);
  for (const block of blocksOf(ring, 11, 11)) backlog.accept(block);
  await ring.markAlive(0, 111);
  expect(await drain(backlog, 1000)).toBe('101-110 11-20 21-30 31-40 41-50');
  expect(await drain(backlog)).toBe('');
  expect(backlog.stat()).toMatchObject({ replays: 0, state: 'catch-up' });
});

it('a replay of a time takes the blocks of that time only', async () => {
  const { ring, backlog } = await setUp();
  const { streamId } = ring.stream;
  backlog.linkUp();
  await drain(backlog);
  const [, second] = (await ring.read(streamId, { first: 1, last: 30 }, 1e6)).blocks;
  const { fromUs = 0, toUs = 0 } = second?.block.header ?? {};
  backlog.replay({ streamId, first: 1, last: 100, fromUs, toUs });
  expect(await drain(backlog)).toBe('11-20');
});

it('refuses streams that are not there and more requests than it keeps', async () => {
  const { ring, backlog } = await setUp();
  const all = { first: 1, last: 100 };
  expect(() => backlog.replay({ streamId: 'f'.repeat(32), ...all })).toThrow('no stream');
  const { streamId } = ring.stream;
  for (let count = 0; count < 16; count++) backlog.replay({ streamId, ...all });
  expect(() => backlog.replay({ streamId, ...all })).toThrow('16 replays');
});

it('counts what came and what was delivered, each once', async () => {
  const { ring, backlog } = await setUp();
  const { streamId } = ring.stream;
  backlog.linkUp();
  await drain(backlog);
  for (const through of [30, 30, 20, 70]) backlog.acknowledge(streamId, through);
  expect(backlog.stat().counters).toMatchObject({ acceptedSamples: 100, deliveredSamples: 70 });
  backlog.acknowledge(streamId, 500);
  expect(backlog.stat().counters.deliveredSamples).toBe(100);
});
