import { describe, expect, it } from 'vitest';
import { lastSequence } from '../domain/block/block.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { ForwardRing } from './forward-ring.ts';
import { blockOf } from './ring.fixture.ts';

const STREAM = 'a'.repeat(32);
const OTHER = 'c'.repeat(32);
const ALL = { first: 1, last: Number.MAX_SAFE_INTEGER };

/** Blocks of ten numbers: block 1 has the sequences 1 to 10. */
const blocks = (from: number, to: number, streamId = STREAM) =>
  Array.from({ length: to - from + 1 }, (_, at) => blockOf(streamId, (from + at - 1) * 10 + 1));

class Place {
  readonly clock = new SimulatedClock();
  readonly disk = new SimulatedDisk(this.clock, createSimulatedRandom(3));

  open(capacityBytes = 1_000_000): Promise<ForwardRing> {
    const { disk, clock } = this;
    return ForwardRing.open({ disk, capacityBytes, segmentBytes: 10_000, clock, log: silentLog });
  }
}

async function given(ring: ForwardRing, streamId = STREAM): Promise<number[]> {
  const firsts: number[] = [];
  for (const held of ring.held(streamId)) {
    for (let { first } = held; first <= held.last; ) {
      const [block] = await ring.read(streamId, { first, last: held.last }, 1);
      if (block === undefined) throw new Error(`${first} is held and not given`);
      firsts.push(block.header.firstSequence);
      first = lastSequence(block.header) + 1;
    }
  }
  return firsts;
}

const firstsOf = (from: number, to: number) => blocks(from, to).map(({ header }) => header.firstSequence);

describe('the forwarding ring', () => {
  it('gives the bytes that it was given, of many streams at once, over segments', async () => {
    const ring = await new Place().open();
    const mixed = blocks(1, 60).flatMap((block, at) => [block, blocks(at + 1, at + 1, OTHER)[0] ?? block]);
    await ring.append(mixed);
    expect(ring.held(STREAM)).toEqual([{ first: 1, last: 600 }]);
    expect(await given(ring)).toEqual(firstsOf(1, 60));
    expect(await given(ring, OTHER)).toEqual(firstsOf(1, 60));
    const [block] = await ring.read(STREAM, { first: 255, last: 256 }, 1);
    expect(block?.bytes).toEqual(blocks(26, 26)[0]?.bytes);
  });

  it('knows how each came, where that was said, after a restart too', async () => {
    const place = new Place();
    const ring = await place.open();
    const marked = [true, false, undefined].flatMap((isReplayed, at) =>
      blocks(at + 1, at + 1).map((block) => ({
        ...block,
        ...(isReplayed === undefined ? {} : { isReplayed }),
      })),
    );
    await ring.append(marked);
    await ring.close();
    const again = await place.open();
    const read = await again.read(STREAM, ALL, 1_000_000);
    expect(read.map(({ isReplayed }) => isReplayed)).toEqual([true, false, undefined]);
    expect(again.held(STREAM)).toEqual([{ first: 1, last: 30 }]);
  });

  it('pushes out the oldest when it is full, and says what it still has', async () => {
    const place = new Place();
    const ring = await place.open(50_000);
    for (let at = 1; at <= 400; at++) await ring.append(blocks(at, at));
    expect(ring.diskBytes).toBeLessThanOrEqual(50_000);
    const [held] = ring.held(STREAM);
    expect(held?.last).toBe(4000);
    expect(held?.first).toBeGreaterThan(1);
    expect((await given(ring)).length * 10).toBe(4000 - (held?.first ?? 0) + 1);
  });

  it.each(['closed', 'cut'])('has everything again when it was %s', async (end) => {
    const place = new Place();
    const ring = await place.open();
    await ring.append(blocks(5, 40));
    await ring.append(blocks(1, 4));
    if (end === 'closed') await ring.close();
    else place.disk.cutPower();
    const again = await place.open();
    expect(again.held(STREAM)).toEqual([{ first: 1, last: 400 }]);
    expect((await given(again)).sort((a, b) => a - b)).toEqual(firstsOf(1, 40));
    await again.append(blocks(41, 42));
    expect(again.held(STREAM)).toEqual([{ first: 1, last: 420 }]);
  });

  it('does not write twice what it has, and takes a block that was cut otherwise', async () => {
    const ring = await new Place().open();
    await ring.append(blocks(1, 3));
    const bytes = ring.diskBytes;
    await ring.append(blocks(1, 3));
    expect(ring.diskBytes).toBe(bytes);
    await ring.append([blockOf(STREAM, 26)]);
    expect(ring.held(STREAM)).toEqual([{ first: 1, last: 35 }]);
  });

  it('rejects while the disk takes nothing, and goes on where it was', async () => {
    const place = new Place();
    const ring = await place.open();
    await ring.append(blocks(1, 3));
    place.disk.failing = 'write';
    await expect(ring.append(blocks(4, 4))).rejects.toMatchObject({ code: 'KOM_STORE_WRITE' });
    expect(ring.lastError).not.toBeNull();
    place.disk.failing = 'nothing';
    await expect(ring.append(blocks(4, 4))).rejects.toMatchObject({ code: 'KOM_STORE_WRITE' });
    await place.clock.advance(1500);
    await ring.append(blocks(4, 6));
    expect(await given(ring)).toEqual(firstsOf(1, 6));
    expect(ring.lastError).toBeNull();
    expect(await ring.read(OTHER, ALL, 1)).toEqual([]);
  });

  it('loses nothing to a full disk, however often it is tried there, and says so', async () => {
    const place = new Place();
    const ring = await place.open();
    await ring.append(blocks(1, 40));
    place.disk.failing = 'growth';
    for (let tries = 0; tries < 4; tries++) {
      await place.clock.advance(1500);
      await expect(ring.append(blocks(41, 42))).rejects.toMatchObject({ code: 'KOM_STORE_WRITE' });
      await ring.read(STREAM, ALL, 1);
      expect(ring.held(STREAM)).toEqual([{ first: 1, last: 400 }]);
      expect(ring.lastError).not.toBeNull();
    }
    expect((await place.open()).held(STREAM)).toEqual([]);
    place.disk.failing = 'nothing';
    await place.clock.advance(1500);
    await ring.append(blocks(41, 42));
    expect(await given(ring)).toEqual(firstsOf(1, 42));
    expect(ring.lastError).toBeNull();
  });

  it('gives what a full disk held back when nothing is written afterwards', async () => {
    const place = new Place();
    const ring = await place.open();
    await ring.append(blocks(1, 40));
    await ring.close();
    const again = await place.open();
    place.disk.failing = 'growth';
    for (let tries = 0; tries < 4; tries++) {
      expect(await again.read(STREAM, ALL, 1)).toEqual([]);
      await place.clock.advance(1500);
    }
    place.disk.failing = 'nothing';
    expect(await given(again)).toEqual(firstsOf(1, 40));
  });

  it.each(['repairable', 'beyond-repair'] as const)('starts where its list is %s, with all', async (how) => {
    const place = new Place();
    const ring = await place.open();
    await ring.append(blocks(1, 40));
    await ring.close();
    place.disk.damage('meta', how);
    expect(await given(await place.open())).toEqual(firstsOf(1, 40));
  });

  it.each(['when it opens', 'when it is read'])('gives up a segment beyond repair %s', async (when) => {
    const place = new Place();
    const ring = await place.open();
    await ring.append(blocks(1, 40));
    await ring.close();
    place.disk.damage('segment-0000000001', 'beyond-repair');
    if (when === 'when it opens') place.disk.forget('meta', Buffer.from('segment-0000000001'));
    const again = await place.open();
    if (when === 'when it is read') expect(await again.read(STREAM, ALL, 1)).toEqual([]);
    const [held] = again.held(STREAM);
    expect(held?.first).toBeGreaterThan(1);
    expect(held?.last).toBe(400);
    expect(await given(again)).toEqual(firstsOf(((held?.first ?? 0) + 9) / 10, 40));
    expect(place.disk.names).not.toContain('segment-0000000001');
  });

  it.each(['meta', 'segment-0000000001'])('waits for a %s that belongs to another user', async (name) => {
    const place = new Place();
    const ring = await place.open();
    await ring.append(blocks(1, 40));
    place.disk.killProcess();
    place.disk.forget('meta', Buffer.from('segment-0000000001'));
    place.disk.denied.add(name);
    const again = await place.open();
    expect(again.lastError).toContain('may not use');
    await place.clock.advance(1500);
    await expect(again.append(blocks(41, 41))).rejects.toMatchObject({ code: 'KOM_STORE_WRITE' });
    place.disk.denied.clear();
    await place.clock.advance(1500);
    await again.append(blocks(41, 41));
    expect(await given(again)).toEqual(firstsOf(1, 41));
  });
});
