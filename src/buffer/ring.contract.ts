import { describe, expect, test } from 'vitest';
import { blockEntryAt, decodeBlock } from '../domain/block/codec.ts';
import { encodeDictionary } from '../domain/dictionary-codec.ts';
import { OPEN_END } from '../domain/gap.ts';
import type { Clock } from '../world/clock.ts';
import type { Random } from '../world/random.ts';
import type { Disk } from '../world/store.ts';
import {
  blockOf,
  blocksOf,
  DICTIONARY_HASH,
  drained,
  openTestRing,
  SMALL_DICTIONARY,
  START_US,
  sequencesOf,
  smallBlocks,
  smallSample,
} from './ring.fixture.ts';

interface World {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  /** Lets so much time pass. */
  readonly pass: (ms: number) => Promise<void>;
}

/** The stories that a ring keeps to on any disk; `make` gives a fresh empty one. */
export function ringContract(name: string, make: () => Promise<World>): void {
  describe(`the ring on ${name}`, () => {
    test('what was appended is read in order, in steps of bytes, with the same bytes', async () => {
      const world = await make();
      const ring = await openTestRing(world.disk, world);
      const blocks = blocksOf(ring, 1, 40);
      expect(await ring.append(blocks)).toEqual({ stored: [{ first: 1, last: 400 }], refused: [] });
      const read = await drained(ring, 3000);
      expect(read.map(({ block }) => block.header.firstSequence)).toEqual(
        blocks.map((block) => block.header.firstSequence),
      );
      expect(read.map(({ block }) => Buffer.from(block.bytes).toString('hex'))).toEqual(
        blocks.map((block) => Buffer.from(block.bytes).toString('hex')),
      );
      expect(read.map(({ position }) => position)).toEqual(blocks.map((_, at) => at + 1));
      expect(ring.stat().segments).toBeGreaterThan(1);
      await ring.close();
    });

    test('it is empty after everything was acknowledged, and stays so', async () => {
      for (const policy of ['always', 'on-outage'] as const) {
        const world = await make();
        const ring = await openTestRing(world.disk, world, { policy });
        await ring.append(blocksOf(ring, 1, 40));
        const { streamId } = ring.stream;
        await ring.acknowledge(streamId, 400);
        expect(await drained(ring)).toEqual([]);
        expect(ring.stat().unacknowledgedSamples).toBe(0);
        expect(ring.stat().segments).toBe(policy === 'always' ? 4 : 1);
        await ring.close();
        const again = await openTestRing(world.disk, world, { policy });
        expect(await drained(again)).toEqual([]);
        expect(again.streams()[0]?.ackedThrough ?? 400).toBe(400);
        await again.close();
      }
    });

    test('reading goes on behind a watermark inside a segment and inside a block', async () => {
      const world = await make();
      const ring = await openTestRing(world.disk, world);
      await ring.append(blocksOf(ring, 1, 25));
      await ring.acknowledge(ring.stream.streamId, 134);
      const first = (await drained(ring))[0];
      expect(first?.block.header.firstSequence).toBe(131);
      expect((await ring.readUnacknowledged(14, 1))?.blocks[0]?.position).toBe(15);
      await ring.close();
    });

    test('a full ring drops its oldest segment and declares exactly what it held', async () => {
      const world = await make();
      const ring = await openTestRing(world.disk, world, { policy: 'on-outage' });
      for (let at = 1; at <= 150; at += 5) await ring.append(blocksOf(ring, at, at + 4));
      const [gap, ...others] = ring.gaps();
      expect(others).toEqual([]);
      expect(gap).toMatchObject({ reason: 'evicted', firstSequence: 1, streamId: ring.stream.streamId });
      const lost = gap?.lastSequence ?? 0;
      expect(gap?.countAtMost).toBe(lost);
      expect(gap?.fromUs).toBe(START_US + 1000);
      expect(gap?.toUs).toBe(START_US + lost * 1000);
      const held = sequencesOf(await drained(ring)).get(ring.stream.streamId);
      expect(held).toEqual([{ first: lost + 1, last: 1500 }]);
      expect(ring.stat().lostByReason).toEqual({ evicted: lost });
      await ring.acknowledge(ring.stream.streamId, lost);
      expect(ring.gaps()).toEqual([]);
      await ring.close();
      const again = await openTestRing(world.disk, world, { policy: 'on-outage' });
      expect(again.gaps()).toEqual([]);
      expect(again.stat().lostByReason).toEqual({ evicted: lost });
      await again.close();
    });

    test('what is acknowledged goes before what is not, without a gap', async () => {
      const world = await make();
      const ring = await openTestRing(world.disk, world, { policy: 'always' });
      for (let at = 1; at <= 300; at += 5) {
        await ring.append(blocksOf(ring, at, at + 4));
        await ring.acknowledge(ring.stream.streamId, at * 10);
      }
      expect(ring.gaps()).toEqual([]);
      expect(ring.stat().samples).toBeGreaterThan(700);
      await ring.close();
    });

    test('refuse-newest keeps the oldest and declares what it did not take, as one gap', async () => {
      const world = await make();
      const ring = await openTestRing(world.disk, world, { whenFull: 'refuse-newest' });
      let refusedFrom = 0;
      for (let at = 1; at <= 150; at += 5) {
        const result = await ring.append(blocksOf(ring, at, at + 4));
        if (refusedFrom === 0) refusedFrom = result.refused[0]?.first ?? 0;
      }
      expect(refusedFrom).toBeGreaterThan(700);
      expect(ring.gaps()).toEqual([
        expect.objectContaining({ reason: 'refused', firstSequence: refusedFrom, lastSequence: 1500 }),
      ]);
      const held = sequencesOf(await drained(ring)).get(ring.stream.streamId);
      expect(held).toEqual([{ first: 1, last: refusedFrom - 1 }]);
      await ring.acknowledge(ring.stream.streamId, 500);
      expect(await ring.append(blocksOf(ring, 151, 151))).toMatchObject({ refused: [] });
      await ring.close();
    });

    test('a run names the one before it, how far it came and whether it ended cleanly', async () => {
      const world = await make();
      const first = await openTestRing(world.disk, world);
      expect(first.stream.previous).toBeNull();
      await first.append(blocksOf(first, 1, 3));
      await first.endStream(44, START_US + 1);
      await first.close();
      const second = await openTestRing(world.disk, world);
      expect(second.stream.previous).toEqual({
        streamId: first.stream.streamId,
        lastDurableSequence: 44,
        endedCleanly: true,
        aliveUntilUs: START_US + 1,
        lostAtMost: 0,
      });
      await second.append(blocksOf(second, 1, 2));
      await second.markAlive(START_US + 2, 77);
      await second.close();
      const third = await openTestRing(world.disk, world);
      expect(third.stream.previous).toEqual({
        streamId: second.stream.streamId,
        lastDurableSequence: 20,
        endedCleanly: false,
        aliveUntilUs: START_US + 2,
        lostAtMost: 500,
      });
      const streams = third.streams();
      expect(streams.map(({ held }) => held)).toEqual([
        [{ first: 1, last: 30 }],
        [{ first: 1, last: 20 }],
        [],
      ]);
      expect([...sequencesOf(await drained(third)).values()]).toEqual([
        [{ first: 1, last: 30 }],
        [{ first: 1, last: 20 }],
      ]);
      await third.close();
    });

    test('a run that was cut off while it stood by ended cleanly, unless it was active again', async () => {
      const world = await make();
      const first = await openTestRing(world.disk, world, { policy: 'on-outage' });
      await first.append(blocksOf(first, 1, 3));
      await first.acknowledge(first.stream.streamId, 44);
      await first.markAlive(START_US + 5, 45, { isStandby: true });
      await first.close();
      const second = await openTestRing(world.disk, world, { policy: 'on-outage' });
      expect(second.stream.previous).toEqual({
        streamId: first.stream.streamId,
        lastDurableSequence: 44,
        endedCleanly: true,
        aliveUntilUs: START_US + 5,
        lostAtMost: 0,
      });
      expect(second.streams()[0]?.ended).toEqual({ cleanly: true, lastSequence: 44, atUs: START_US + 5 });
      await second.markAlive(START_US + 5, 1, { isStandby: true });
      await second.markAlive(START_US + 6, 1);
      await second.close();
      const third = await openTestRing(world.disk, world);
      expect(third.stream.previous).toMatchObject({ endedCleanly: false, lastDurableSequence: 0 });
      await third.markAlive(START_US + 7, 1, { isStandby: true });
      await third.append(blocksOf(third, 1, 2));
      await third.close();
      const fourth = await openTestRing(world.disk, world);
      expect(fourth.stream.previous, 'the mark that it was active did not arrive').toMatchObject({
        ...{ streamId: third.stream.streamId, lastDurableSequence: 20, endedCleanly: false, lostAtMost: 500 },
      });
      await fourth.close();
    });

    test('streams that are settled are forgotten, others are not', async () => {
      const world = await make();
      const ids: string[] = [];
      for (let run = 0; run < 5; run += 1) {
        const ring = await openTestRing(world.disk, world, { policy: 'on-outage' });
        ids.push(ring.stream.streamId);
        if (run === 1) await ring.append(blocksOf(ring, 1, 1));
        await ring.close();
      }
      const unheard = await openTestRing(world.disk, world, { policy: 'on-outage' });
      expect(unheard.streams().map(({ info }) => info.streamId)).toEqual([...ids, unheard.stream.streamId]);
      for (const { info } of unheard.streams()) await unheard.acknowledge(info.streamId, 0);
      await unheard.markAlive(START_US, 1);
      expect(unheard.streams().map(({ info }) => info.streamId)).toEqual([
        ids[1],
        ids[4],
        unheard.stream.streamId,
      ]);
      await unheard.acknowledge(ids[1] ?? '', OPEN_END);
      await unheard.close();
      const last = await openTestRing(world.disk, world, { policy: 'on-outage' });
      await last.markAlive(START_US, 1);
      expect(last.streams().map(({ info }) => info.streamId)).toEqual([
        unheard.stream.streamId,
        last.stream.streamId,
      ]);
      await last.close();
    });

    test('a range of a stream is read again, acknowledged or not', async () => {
      const world = await make();
      const ring = await openTestRing(world.disk, world);
      await ring.append(blocksOf(ring, 1, 40));
      await ring.acknowledge(ring.stream.streamId, 400);
      const { blocks, more } = await ring.read(ring.stream.streamId, { first: 95, last: 205 }, 1_000_000);
      expect(blocks.map(({ block }) => block.header.firstSequence)).toEqual(
        Array.from({ length: 12 }, (_, at) => 91 + at * 10),
      );
      expect(more).toBe(false);
      await ring.close();
    });

    test('a dictionary is there as long as a block needs it', async () => {
      const world = await make();
      const dictionary = encodeDictionary({ site: 's', process: 'p', tags: [] });
      const ring = await openTestRing(world.disk, world, { policy: 'on-outage' });
      await ring.putDictionary({ ...dictionary, hash: DICTIONARY_HASH });
      await ring.append(blocksOf(ring, 1, 40));
      await ring.close();
      const again = await openTestRing(world.disk, world, { policy: 'on-outage' });
      expect([...((await again.dictionary(DICTIONARY_HASH)) ?? [])]).toEqual([...dictionary.bytes]);
      expect(await again.dictionary('e'.repeat(32))).toBeUndefined();
      await again.acknowledge(ring.stream.streamId, 400);
      await again.close();
      const empty = await openTestRing(world.disk, world, { policy: 'on-outage' });
      expect(await empty.dictionary(DICTIONARY_HASH)).toBeUndefined();
      await empty.close();
    });

    test('a block that is durable already is passed over; one of another stream is a bug', async () => {
      const world = await make();
      const ring = await openTestRing(world.disk, world);
      await ring.append(blocksOf(ring, 1, 3));
      expect(await ring.append(blocksOf(ring, 2, 4))).toEqual({
        stored: [{ first: 11, last: 40 }],
        refused: [],
      });
      expect(await drained(ring)).toHaveLength(4);
      await expect(ring.append([blockOf('f'.repeat(32), 41)])).rejects.toThrow('invariant');
      await ring.close();
    });

    test('a loss that the caller knows of is durable and told once', async () => {
      const world = await make();
      const ring = await openTestRing(world.disk, world);
      const gap = {
        streamId: ring.stream.streamId,
        firstSequence: 5,
        lastSequence: 9,
        reason: 'rejected',
        fromUs: 1,
        toUs: 2,
        countAtMost: 5,
      } as const;
      await ring.declareGap(gap);
      await ring.declareGap(gap);
      await ring.close();
      const again = await openTestRing(world.disk, world);
      expect(again.gaps()).toEqual([gap]);
      expect(again.stat().lostByReason).toEqual({ rejected: 5 });
      await again.close();
    });

    test('small blocks are joined when their segment is sealed: the same samples in less room', async () => {
      const world = await make();
      const ring = await openTestRing(world.disk, world);
      await ring.putDictionary(SMALL_DICTIONARY);
      let last = 0;
      for (; ring.stat().segments < 3; last += 200)
        await ring.append(smallBlocks(ring, last + 1, last + 200));
      const { diskBytes, blocks } = ring.stat();
      for (let at = 0; at < 20 && ring.stat().blocks === blocks; at += 1) await world.pass(100);
      await ring.close();
      const again = await openTestRing(world.disk, world);
      expect(again.stat()).toMatchObject({ samples: last, segments: 3 });
      expect(again.stat().diskBytes).toBeLessThan(0.8 * diskBytes);
      const read = await drained(again);
      expect(sequencesOf(read).get(ring.stream.streamId)).toEqual([{ first: 1, last }]);
      for (const { block } of read) {
        const decoded = decodeBlock(block);
        for (let at = 0; at < block.header.count; at += 1) {
          expect(blockEntryAt(decoded, at)).toEqual(smallSample(block.header.firstSequence + at));
        }
      }
      expect(read.length).toBeLessThan(0.8 * blocks);
      expect([...((await again.dictionary(SMALL_DICTIONARY.hash)) ?? [])]).toEqual([
        ...SMALL_DICTIONARY.bytes,
      ]);
      await again.close();
    });

    test('the store has one living holder', async () => {
      const world = await make();
      const ring = await openTestRing(world.disk, world);
      await expect(openTestRing(world.disk, world)).rejects.toMatchObject({ code: 'KOM_STORE_LOCKED' });
      await ring.append(blocksOf(ring, 1, 1));
      await ring.close();
      await expect(ring.append([])).rejects.toMatchObject({ code: 'KOM_STORE_CLOSED' });
    });
  });
}
