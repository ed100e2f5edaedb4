import { describe, expect, it } from 'vitest';
import { lastSequence } from '../domain/block/block.ts';
import type { SequenceRange } from '../domain/coverage.ts';
import { encodeDictionary } from '../domain/dictionary-codec.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { MirrorStore, type MirrorStoreOptions } from './mirror-store.ts';
import type { MirroredStream } from './mirrored-stream.ts';
import { blockOf, START_US } from './ring.fixture.ts';

const STREAM = 'a'.repeat(32);
const stream = (streamId = STREAM): MirroredStream => ({
  info: { streamId, bootId: 'b'.repeat(32), startedAtUs: START_US, previous: null },
  ...{ ownerInstance: 1, producedTo: 0, endedAtUs: null },
});
const dictionary = encodeDictionary({ site: 'S', process: 'KomA', tags: [] });

/** Block number `at` of a stream: block 1 has the sequences 1 to 10. */
const foreign = (at: number, streamId = STREAM) => ({
  block: blockOf(streamId, (at - 1) * 10 + 1),
  dictionary,
  stream: stream(streamId),
});
const foreigns = (from: number, to: number, streamId = STREAM) =>
  Array.from({ length: to - from + 1 }, (_, at) => foreign(from + at, streamId));

class Place {
  readonly clock = new SimulatedClock();
  readonly random = createSimulatedRandom(11);
  readonly disk = new SimulatedDisk(this.clock, this.random);
  boundBytes = 1_000_000;

  open(change: Partial<MirrorStoreOptions> = {}): Promise<MirrorStore> {
    return MirrorStore.open({
      ...{ disk: this.disk, boundBytes: () => this.boundBytes, segmentBytes: 10_000 },
      ...{ clock: this.clock, log: silentLog, ownerInstance: 1, ...change },
    });
  }
}

/** Everything that it says it holds, read in steps, as ranges of blocks. */
async function given(store: MirrorStore, streamId = STREAM): Promise<SequenceRange[]> {
  const ranges: SequenceRange[] = [];
  for (const held of store.held(streamId)) {
    for (let { first } = held; first <= held.last; ) {
      const blocks = await store.read(streamId, { first, last: held.last }, 3000);
      if (blocks.length === 0) throw new Error(`${first} is held and not given`);
      ranges.push(
        ...blocks.map(({ header }) => ({ first: header.firstSequence, last: lastSequence(header) })),
      );
      first = (ranges.at(-1)?.last ?? 0) + 1;
    }
  }
  return ranges;
}

const expectGiven = async (store: MirrorStore, from: number, to: number, streamId = STREAM) =>
  expect((await given(store, streamId)).map(({ first }) => first)).toEqual(
    foreigns(from, to).map(({ block }) => block.header.firstSequence),
  );

describe('a mirror store', () => {
  it('gives what it was given, the same bytes, with dictionary and stream, over segments', async () => {
    const store = await new Place().open();
    await store.append(foreigns(1, 40));
    expect(store.held(STREAM)).toEqual([{ first: 1, last: 400 }]);
    await expectGiven(store, 1, 40);
    const [block] = await store.read(STREAM, { first: 255, last: 256 }, 1);
    expect(block?.bytes).toEqual(foreign(26).block.bytes);
    expect(await store.dictionary(dictionary.hash)).toEqual(dictionary.bytes);
    expect(store.streams).toEqual([stream()]);
  });

  it('keeps what is on its way into a segment of which all that was there is forgotten', async () => {
    const store = await new Place().open();
    await store.append(foreigns(1, 2));
    const writing = store.append(foreigns(3, 4));
    store.forget(STREAM, [{ first: 1, last: 20 }]);
    await writing;
    await store.trim();
    expect(store.held(STREAM)).toEqual([{ first: 21, last: 40 }]);
    await expectGiven(store, 3, 4);
    store.forget(STREAM, [{ first: 21, last: 40 }]);
    await store.close();
    expect(store.diskBytes).toBe(0);
  });

  it('takes blocks in any order, of several streams, and each one once', async () => {
    const store = await new Place().open();
    const other = 'c'.repeat(32);
    await store.append([...foreigns(20, 30), ...foreigns(5, 8, other), ...foreigns(1, 4)]);
    await store.append([...foreigns(3, 22), ...foreigns(5, 8, other)]);
    expect(store.held(STREAM)).toEqual([{ first: 1, last: 300 }]);
    await expectGiven(store, 1, 30);
    await expectGiven(store, 5, 8, other);
    const bytes = store.diskBytes;
    await store.append(foreigns(1, 30));
    expect(store.diskBytes).toBe(bytes);
  });

  it('is the same after a clean end, a kill, and a power cut', async () => {
    for (const end of ['close', 'killProcess', 'cutPower'] as const) {
      const place = new Place();
      const store = await place.open();
      await store.append(foreigns(1, 25));
      if (end === 'close') await store.close();
      else place.disk[end]();
      const again = await place.open();
      await expectGiven(again, 1, 25);
      expect(again.streams, end).toEqual([stream()]);
      await again.append(foreigns(26, 50));
      await expectGiven(again, 1, 50);
    }
  });

  it('reads no block of a sealed segment when it opens', async () => {
    const place = new Place();
    const store = await place.open();
    await store.append(foreigns(1, 60));
    await store.close();
    const opened: string[] = [];
    const disk = place.disk;
    const watched = {
      ...{ list: disk.list.bind(disk), remove: disk.remove.bind(disk), repair: disk.repair.bind(disk) },
      ...{
        rename: disk.rename.bind(disk),
        usedBytes: disk.usedBytes.bind(disk),
        freeBytes: disk.freeBytes.bind(disk),
      },
      open: (name: string) => {
        opened.push(name);
        return disk.open(name);
      },
    };
    const again = await place.open({ disk: watched });
    expect(again.held(STREAM)).toEqual([{ first: 1, last: 600 }]);
    expect(opened).toEqual(['meta']);
  });

  it('pushes out the oldest at its bound, silently, and remembers how far', async () => {
    const place = new Place();
    place.boundBytes = 50_000;
    const store = await place.open();
    await store.append(foreigns(1, 100));
    expect(store.diskBytes).toBeLessThanOrEqual(50_000);
    const [held, ...rest] = store.held(STREAM);
    expect(rest).toEqual([]);
    expect(held?.last).toBe(1000);
    expect(held?.first).toBeGreaterThan(500);
    expect(store.gaveUpThrough(STREAM)).toBe((held?.first ?? 0) - 1);
    await expectGiven(store, Math.ceil((held?.first ?? 0) / 10), 100);
  });

  it('gives way to own data, and wants everything again when there is room', async () => {
    const place = new Place();
    place.boundBytes = 100_000;
    const store = await place.open();
    await store.append(foreigns(1, 60));
    place.boundBytes = 25_000;
    await store.trim();
    expect(store.diskBytes).toBeLessThanOrEqual(25_000);
    expect(store.gaveUpThrough(STREAM)).toBeGreaterThan(0);
    place.boundBytes = 0;
    await store.trim();
    expect(store.held(STREAM)).toEqual([]);
    await expect(store.append(foreigns(61, 61))).rejects.toMatchObject({ code: 'KOM_STORE_WRITE' });
    place.boundBytes = 100_000;
    await store.trim();
    expect(store.gaveUpThrough(STREAM)).toBe(0);
    await place.clock.advance(2000);
    await store.append(foreigns(1, 3));
    await expectGiven(store, 1, 3);
  });

  it('forgets what a Kernel has, and frees its room', async () => {
    const store = await new Place().open();
    await store.append(foreigns(1, 40));
    const before = store.diskBytes;
    store.forget(STREAM, [
      { first: 1, last: 205 },
      { first: 211, last: 220 },
    ]);
    expect(store.held(STREAM)).toEqual([
      { first: 206, last: 210 },
      { first: 221, last: 400 },
    ]);
    expect((await given(store)).map(({ first }) => first).slice(0, 2)).toEqual([201, 221]);
    expect(store.diskBytes).toBeLessThan(before / 1.5);
    store.forget(STREAM, [{ first: 1, last: Number.MAX_SAFE_INTEGER }]);
    await store.trim();
    await store.close();
    expect(store.streams).toEqual([]);
    expect(store.diskBytes).toBe(0);
  });

  it('leaves out a damaged block, and says so', async () => {
    const place = new Place();
    const store = await place.open();
    await store.append(foreigns(1, 5));
    await store.close();
    place.disk.flipBit('segment-0000000001', Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 3), 5000);
    const again = await place.open();
    expect(await again.read(STREAM, { first: 21, last: 50 }, 10_000)).toHaveLength(2);
    expect(again.held(STREAM)).toEqual([
      { first: 1, last: 20 },
      { first: 31, last: 50 },
    ]);
  });

  it('starts whatever is on the disk, and keeps what can be kept', async () => {
    const place = new Place();
    const store = await place.open();
    await store.append(foreigns(1, 30));
    await store.close();
    place.disk.damage('meta', 'beyond-repair');
    place.disk.damage('segment-0000000001', 'beyond-repair');
    const again = await place.open();
    const [held] = again.held(STREAM);
    expect(held?.last).toBe(300);
    expect(held?.first).toBeGreaterThan(10);
    await expectGiven(again, Math.ceil((held?.first ?? 0) / 10), 30);
    expect(again.streams).toEqual([stream()]);
  });

  it('takes nothing while the disk does not, loses nothing durable, and goes on after it', async () => {
    const place = new Place();
    const store = await place.open();
    await store.append(foreigns(1, 5));
    place.disk.failing = 'write';
    await expect(store.append(foreigns(6, 9))).rejects.toMatchObject({ code: 'KOM_STORE_WRITE' });
    await expect(store.append(foreigns(6, 9))).rejects.toMatchObject({ code: 'KOM_STORE_WRITE' });
    place.disk.failing = 'nothing';
    await place.clock.advance(1500);
    await store.append(foreigns(6, 9));
    await expectGiven(store, 1, 9);
  });

  it('opens on a disk that gives nothing, and later for good', async () => {
    const place = new Place();
    place.disk.failing = 'all';
    const store = await place.open();
    expect(store.lastError).not.toBeNull();
    place.disk.failing = 'nothing';
    await place.clock.advance(1500);
    await store.append(foreigns(1, 2));
    await expectGiven(store, 1, 2);
  });

  it('loses nothing to a full disk, however often it is tried there', async () => {
    const place = new Place();
    const store = await place.open();
    await store.append(foreigns(1, 40));
    place.disk.failing = 'growth';
    for (let tries = 0; tries < 4; tries++) {
      await place.clock.advance(1500);
      await expect(store.append(foreigns(41, 42))).rejects.toMatchObject({ code: 'KOM_STORE_WRITE' });
      await store.read(STREAM, { first: 1, last: 400 }, 1);
      await store.dictionary(dictionary.hash);
      expect(store.lastError).not.toBeNull();
    }
    await place.open();
    place.disk.failing = 'nothing';
    await place.clock.advance(1500);
    await store.append(foreigns(41, 42));
    await expectGiven(store, 1, 42);
    await store.close();
    await expectGiven(await place.open(), 1, 42);
  });
});
