import { expect, it } from 'vitest';
import { type Block, lastSequence } from '../domain/block/block.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { Backlog } from './backlog.ts';
import { ReplayNotes } from './replay-notes.ts';
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
  expect(backlog.stat().replays).toHaveLength(1);
  for (const block of blocksOf(ring, 11, 11)) backlog.accept(block);
  await ring.markAlive(0, 111);
  expect(await drain(backlog, 1000)).toBe('101-110 11-20 21-30 31-40 41-50');
  expect(await drain(backlog)).toBe('');
  expect(backlog.stat()).toMatchObject({ replays: [{ first: 15, archivedBefore: 15 }], state: 'online' });
  for (const first of [21, 41]) backlog.archived(streamId, first);
  expect(backlog.stat().replays).toEqual([]);
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

it('goes on from where the Kernel had it when a session ends, and is over when it has all', async () => {
  const { ring, backlog } = await setUp();
  const { streamId } = ring.stream;
  backlog.linkUp();
  await drain(backlog);
  backlog.acknowledge(streamId, 100);
  await drain(backlog);
  backlog.replay({ streamId, first: 1, last: 60 });
  const steps = [await backlog.next(1000), await backlog.next(1000), await backlog.next(100_000)];
  const firsts = steps.map((blocks) => blocks.map(({ header }) => header.firstSequence));
  expect(firsts).toEqual([
    [1, 11],
    [21, 31],
    [41, 51],
  ]);
  const asked = steps.flat().filter((block) => backlog.offers.manner(block).confirm === true);
  expect(asked.map(({ header }) => header.firstSequence)).toEqual([11, 31, 51]);
  backlog.archived(streamId, 11);
  backlog.linkDown();
  backlog.linkUp();
  expect(backlog.stat().replays).toMatchObject([{ first: 1, last: 60, archivedBefore: 21 }]);
  expect(await drain(backlog)).toBe('21-30 31-40 41-50 51-60');
  backlog.archived(streamId, 51);
  expect(backlog.stat().replays).toEqual([]);
  expect(await drain(backlog)).toBe('');
});

it('passes over a block that the Kernel refuses', async () => {
  const { ring, backlog } = await setUp();
  const { streamId } = ring.stream;
  backlog.linkUp();
  await drain(backlog);
  backlog.acknowledge(streamId, 100);
  backlog.replay({ streamId, first: 1, last: 30 });
  const [, , third] = await backlog.next(100_000);
  if (third === undefined) throw new Error('no third block');
  await backlog.reject(third.header, 'rejected');
  backlog.rewind();
  expect(await drain(backlog)).toBe('1-10 11-20');
  backlog.archived(streamId, 11);
  expect(backlog.stat().replays).toEqual([]);
});

it('a restart begins a replay that was not through once more, and forgets one that was', async () => {
  const random = createSimulatedRandom(5);
  const clock = new SimulatedClock();
  const disk = new SimulatedDisk(clock, random);
  const start = async () => {
    const ring = await openTestRing(disk, { clock, random });
    const replayNotes = new ReplayNotes({ disk, log: silentLog });
    const options = { policy: 'always', spillAgeMs: 500, windowBytes: 1_000_000 } as const;
    const backlog = new Backlog({ ...options, ring, clock, log: silentLog, replayNotes });
    await backlog.resumeReplays();
    return { ring, backlog };
  };
  const first = await start();
  const { streamId } = first.ring.stream;
  for (const block of blocksOf(first.ring, 1, 3)) first.backlog.accept(block);
  await clock.advance(1000);
  first.backlog.acknowledge(streamId, 30);
  await first.ring.markAlive(0, 31);
  first.backlog.replay({ streamId, first: 1, last: 30 });
  await clock.advance(10);
  disk.killProcess();
  const second = await start();
  expect(second.backlog.stat().replays).toMatchObject([{ streamId, first: 1, last: 30 }]);
  second.backlog.linkUp();
  expect(await drain(second.backlog)).toBe('1-10 11-20 21-30');
  second.backlog.archived(streamId, 21);
  await clock.advance(10);
  disk.killProcess();
  expect((await start()).backlog.stat().replays).toEqual([]);
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
