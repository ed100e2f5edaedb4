import { describe, expect, it } from 'vitest';
import type { StorePolicy } from '../config/model.ts';
import { type Block, lastSequence } from '../domain/block/block.ts';
import { decodeBlock, entryAt } from '../domain/block/codec.ts';
import { isTimeGap, type Sample } from '../domain/sample.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { Assembler } from './assembler.ts';
import { Backlog } from './backlog.ts';
import { openTestRing } from './ring.fixture.ts';

interface SetUpOptions {
  readonly windowBytes?: number;
  readonly disk?: SimulatedDisk;
  readonly seed?: number;
}

/** An assembler on a backlog on a ring on a simulated disk. */
async function setUp(policy: StorePolicy, options: SetUpOptions = {}) {
  const random = createSimulatedRandom(options.seed ?? 7);
  const clock = new SimulatedClock();
  const disk = options.disk ?? new SimulatedDisk(clock, random);
  const ring = await openTestRing(disk, { clock, random }, { policy, capacityBytes: 4_000_000 });
  const windowBytes = options.windowBytes ?? 1_000_000;
  const said: string[] = [];
  const note = (_: unknown, message: string) => said.push(message);
  const log = { ...silentLog, error: note, info: note };
  const backlog = new Backlog({ ring, policy, spillAgeMs: 500, windowBytes, clock, log });
  let overloadsEnded = 0;
  const assembler = new Assembler({
    streamId: ring.stream.streamId,
    dictionaryHash: 'd'.repeat(32),
    clock,
    blockAgeMs: 250,
    seal: (block, firstMs) => backlog.accept(block, firstMs),
    hasRoom: () => backlog.hasRoom,
    numbered: () => {},
    overloadEnded: () => {
      overloadsEnded++;
    },
  });
  return { clock, disk, ring, backlog, assembler, said, overloadsEnded: () => overloadsEnded };
}

function samples(count: number, from = 0, textBytes = 0): Sample[] {
  return Array.from({ length: count }, (_, at) => ({
    tagIndex: 0,
    sourceTimeUs: 1_800_000_000_000_000 + (from + at) * 1000,
    value: textBytes === 0 ? from + at : `${from + at}`.padEnd(textBytes, String((from + at) * 7919)),
    quality: 0,
    cause: 'change',
  }));
}

function ranges(blocks: readonly Block[]): string {
  return blocks.map(({ header }) => `${header.firstSequence}-${lastSequence(header)}`).join(' ');
}

async function takeAll(backlog: Backlog): Promise<Block[]> {
  const all: Block[] = [];
  while (true) {
    const blocks = await backlog.next(500);
    if (blocks.length === 0) return all;
    all.push(...blocks);
  }
}

describe('backlog', () => {
  it('gives blocks out from memory while the link takes them, and the ring stays empty', async () => {
    const { clock, ring, backlog, assembler } = await setUp('on-outage');
    backlog.linkUp();
    await backlog.next(1000);
    assembler.accept(samples(3));
    await clock.advance(250);
    const blocks = await backlog.next(1000);
    expect(ranges(blocks)).toBe('1-3');
    expect(backlog.state).toBe('online');
    backlog.acknowledge(ring.stream.streamId, 3);
    await clock.advance(2000);
    expect(backlog.stat()).toMatchObject({ samples: 0, windowSamples: 0 });
    expect(ring.stat().blocks).toBe(0);
  });

  it('puts what is not acknowledged in time into the ring, though the link says it is up', async () => {
    const { clock, ring, backlog, assembler } = await setUp('on-outage');
    backlog.linkUp();
    assembler.accept(samples(3));
    await clock.advance(260);
    expect(ranges(await takeAll(backlog))).toBe('1-3');
    await clock.advance(400);
    expect(ring.stat().samples).toBe(0);
    await clock.advance(200);
    expect(ring.stat().samples).toBe(3);
    expect(await takeAll(backlog), 'it is in flight already').toEqual([]);
    backlog.rewind();
    expect(ranges(await takeAll(backlog))).toBe('1-3');
  });

  it('has nothing left of what a mirror delivered before it was durable here', async () => {
    const { clock, disk, ring, backlog, assembler } = await setUp('always');
    disk.syncMs = { min: 1000, max: 1000 };
    assembler.accept(samples(3));
    await clock.advance(500);
    backlog.acknowledge(ring.stream.streamId, 3);
    await clock.advance(3000);
    expect(ring.stat()).toMatchObject({ samples: 3, unacknowledgedSamples: 0 });
  });

  it('gives nothing to a session that ended while the ring was read', async () => {
    const { clock, ring, backlog, assembler } = await setUp('on-outage');
    for (let block = 0; block < 3; block++) {
      assembler.accept(samples(3, block * 3));
      await clock.advance(1000);
    }
    backlog.linkUp();
    const read = ring.readUnacknowledged.bind(ring);
    const slow = Promise.withResolvers<void>();
    ring.readUnacknowledged = async (...args) => {
      ring.readUnacknowledged = read;
      await slow.promise;
      return await read(...args);
    };
    const former = backlog.next(1);
    backlog.linkDown();
    backlog.linkUp();
    expect(ranges(await backlog.next(1))).toBe('1-3');
    slow.resolve();
    expect(await former).toEqual([]);
    expect(ranges(await takeAll(backlog))).toBe('4-6 7-9');
  });

  it('gives out what came into the ring while the ring was read to its end', async () => {
    const { clock, ring, backlog, assembler } = await setUp('on-outage');
    assembler.accept(samples(3));
    await clock.advance(1000);
    backlog.linkUp();
    const read = ring.readUnacknowledged.bind(ring);
    ring.readUnacknowledged = async (...args) => {
      ring.readUnacknowledged = read;
      const found = await read(...args);
      assembler.accept(samples(3, 3));
      await clock.advance(1000);
      return found;
    };
    expect(ranges(await takeAll(backlog))).toBe('1-3 4-6');
  });

  it('keeps an outage in the ring and gives it out in order, new blocks behind it', async () => {
    const { clock, ring, backlog, assembler } = await setUp('on-outage');
    for (let block = 0; block < 8; block++) {
      assembler.accept(samples(5, block * 5));
      await clock.advance(300);
    }
    expect(backlog.state).toBe('outage');
    backlog.linkUp();
    expect(backlog.state).toBe('catch-up');
    expect(ranges(await backlog.next(1))).toBe('1-5');
    assembler.accept(samples(5, 40));
    await clock.advance(300);
    expect(ranges(await takeAll(backlog))).toBe('6-10 11-15 16-20 21-25 26-30 31-35 36-40 41-45');
    expect(backlog.state, 'nothing of it is acknowledged').toBe('catch-up');
    backlog.acknowledge(ring.stream.streamId, 45);
    await clock.advance(1);
    expect(backlog.state).toBe('online');
  });

  it('with everything in the ring is online as long as acknowledgements are not late', async () => {
    const { clock, ring, backlog, assembler } = await setUp('always');
    const acknowledge = (through: number) => backlog.acknowledge(ring.stream.streamId, through);
    assembler.accept(samples(3));
    await clock.advance(2000);
    backlog.linkUp();
    expect(ranges(await takeAll(backlog))).toBe('1-3');
    expect(backlog.state, 'it was held back').toBe('catch-up');
    acknowledge(3);
    for (let through = 6; through <= 30; through += 3) {
      assembler.accept(samples(3, through - 3));
      await clock.advance(300);
      expect(ranges(await takeAll(backlog))).toBe(`${through - 2}-${through}`);
      expect(ring.stat().unacknowledgedSamples).toBe(3);
      expect(backlog.state, 'it is on its way').toBe('online');
      if (through < 30) acknowledge(through);
    }
    await clock.advance(600);
    expect(backlog.state, 'it is late').toBe('catch-up');
    acknowledge(30);
    expect(backlog.state).toBe('online');
  });

  it('gives out nothing twice and nothing out of order, whenever blocks move to the ring', async () => {
    for (let seed = 0; seed < 40; seed++) {
      const random = createSimulatedRandom(seed);
      const { clock, disk, backlog, assembler } = await setUp(seed % 2 === 0 ? 'on-outage' : 'always');
      disk.syncMs = { min: 0, max: 400 };
      let expected = 1;
      backlog.linkUp();
      for (let step = 0; step < 60; step++) {
        if (random.fraction() < 0.6) assembler.accept(samples(3, step * 3, 40));
        await clock.advance(random.fraction() * 400);
        if (random.fraction() < 0.15) {
          backlog.linkDown();
          await clock.advance(random.fraction() * 1500);
          backlog.linkUp();
          expected = 1;
        }
        const blocks = random.fraction() < 0.5 ? await clock.runUntil(backlog.next(100)) : [];
        for (const { header } of blocks) {
          expect(header.firstSequence, `seed ${seed}`).toBe(expected);
          expected = lastSequence(header) + 1;
        }
      }
      await clock.advance(2000);
      for (const { header } of await clock.runUntil(takeAll(backlog))) {
        expect(header.firstSequence, `seed ${seed}`).toBe(expected);
        expected = lastSequence(header) + 1;
      }
      expect(expected, `seed ${seed}`).toBe(assembler.nextSequence);
    }
  });

  it('with always gives a block out only when it is durable', async () => {
    const { clock, disk, backlog, assembler } = await setUp('always');
    backlog.linkUp();
    await takeAll(backlog);
    disk.syncMs = { min: 300, max: 300 };
    assembler.accept(samples(2));
    await clock.advance(260);
    expect(await backlog.next(1000)).toEqual([]);
    // Synced writes: the new segment in meta, then the block.
    await clock.advance(1000);
    expect(ranges(await backlog.next(1000))).toBe('1-2');
  });

  it('with always and a disk that takes nothing delivers all the same', async () => {
    const { clock, disk, ring, backlog, assembler } = await setUp('always');
    backlog.linkUp();
    await takeAll(backlog);
    disk.failing = 'write';
    assembler.accept(samples(2));
    await clock.advance(300);
    expect(ranges(await backlog.next(1000))).toBe('1-2');
    backlog.acknowledge(ring.stream.streamId, 2);
    disk.failing = 'nothing';
    assembler.accept(samples(2, 2));
    await clock.advance(5000);
    expect(ranges(await takeAll(backlog))).toBe('3-4');
    expect(ring.stat().state).toBe('healthy');
  });

  it('numbers nothing while neither link nor disk takes anything, and declares that as one gap', async () => {
    const { clock, disk, ring, backlog, assembler, said, overloadsEnded } = await setUp('on-outage', {
      windowBytes: 3000,
    });
    disk.failing = 'write';
    for (let step = 0; step < 40; step++) {
      assembler.accept(samples(10, step * 10, 60));
      await clock.advance(300);
    }
    const numbered = assembler.nextSequence - 1;
    expect(numbered).toBeLessThan(400);
    expect(assembler.overloadCount).toBe(400 - numbered);
    expect(backlog.stat().windowBytes).toBeLessThan(6000);
    expect(said, 'twelve seconds of it, and one line').toEqual([
      'the ring takes nothing; blocks stay in memory',
    ]);
    disk.failing = 'nothing';
    await clock.advance(5000);
    expect(ring.stat().samples).toBe(numbered);
    expect(said[1]).toBe('the ring takes blocks again');
    assembler.accept(samples(1, 1000));
    expect(overloadsEnded()).toBe(1);
    await clock.advance(1000);
    backlog.linkUp();
    const blocks = await takeAll(backlog);
    const entries = blocks.flatMap((block) => {
      const decoded = decodeBlock(block);
      return Array.from({ length: block.header.count }, (_, at) => entryAt(decoded, at));
    });
    const gaps = entries.filter(isTimeGap);
    expect(gaps).toMatchObject([{ reason: 'overload', station: null, count: 400 - numbered }]);
    expect(entries).toHaveLength(numbered + 2);
  });

  it('writes everything to the ring when it closes, and the next run finds it', async () => {
    const { clock, disk, ring, backlog, assembler } = await setUp('on-outage');
    backlog.linkUp();
    assembler.accept(samples(3));
    assembler.flush();
    await backlog.close();
    await ring.endStream(3, clock.wallUs());
    await ring.close();
    const next = await setUp('on-outage', { disk, seed: 8 });
    expect(next.ring.stream.previous).toMatchObject({ lastDurableSequence: 3, endedCleanly: true });
    next.backlog.linkUp();
    expect(ranges(await takeAll(next.backlog))).toBe('1-3');
  });

  it('gives everything out again after a rewind that comes while the ring is read', async () => {
    const { clock, backlog, assembler } = await setUp('on-outage');
    for (let block = 0; block < 6; block++) {
      assembler.accept(samples(1, block));
      await clock.advance(300);
    }
    backlog.linkUp();
    expect(ranges(await backlog.next(1))).toBe('1-1');
    const reading = backlog.next(1);
    backlog.rewind();
    expect(ranges(await clock.runUntil(reading))).toBe('');
    expect(ranges(await takeAll(backlog))).toBe('1-1 2-2 3-3 4-4 5-5 6-6');
  });

  it('says at its close when the disk did not take everything', async () => {
    const { disk, backlog, assembler } = await setUp('on-outage');
    assembler.accept(samples(3));
    assembler.flush();
    disk.failing = 'write';
    expect(await backlog.close()).toBe(false);
    const other = await setUp('on-outage', { seed: 8 });
    other.assembler.accept(samples(3));
    other.assembler.flush();
    expect(await other.backlog.close()).toBe(true);
  });
});
