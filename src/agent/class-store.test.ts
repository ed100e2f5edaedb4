import { describe, expect, it } from 'vitest';
import { decodeBlock, entryAt } from '../domain/block/codec.ts';
import type { Dictionary } from '../domain/dictionary.ts';
import { decodeDictionary } from '../domain/dictionary-codec.ts';
import type { Entry } from '../domain/sample.ts';
import type { TagClass } from '../domain/stream.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { ClassStore } from './class-store.ts';

const NOW_US = 1_800_000_000_000_000;

const dictionary: Dictionary = {
  site: 'S',
  process: 'KomA',
  tags: (
    [
      ['A.flow', 'A', 'measurement'],
      ['A.trip', 'A', 'alarm'],
      ['B.flow', 'B', 'measurement'],
      ['C.trip', 'C', 'alarm'],
    ] satisfies [string, string, TagClass][]
  ).map(([name, station, tagClass]) => ({
    name,
    station,
    class: tagClass,
    type: 'float64',
    unit: '',
    formerly: [],
  })),
};

async function openStore(tagIndexes: number[], options: { share?: number; capacityBytes?: number } = {}) {
  const random = createSimulatedRandom(tagIndexes.length);
  const clock = new SimulatedClock();
  const disk = new SimulatedDisk(clock, random);
  const store = await ClassStore.open({
    disk,
    buffer: {
      store: 'on-outage',
      capacityBytes: options.capacityBytes ?? 1_000_000,
      freeDiskFloorBytes: 0,
      alarmShare: 0.2,
      whenFull: 'drop-oldest',
      powerCutLossMaxMs: 1000,
      blockAgeMs: 250,
      spillAgeMs: 500,
      aliveMarkMs: 5000,
      windowBytes: 1_000_000,
    },
    share: options.share ?? 0.5,
    dictionary,
    tagIndexes,
    clock,
    random,
    log: silentLog,
    bootId: 'b'.repeat(32),
    overloadEnded: () => {},
  });
  return { clock, store, disk };
}

function sample(tagIndex: number, value: number | string): Entry {
  return { tagIndex, sourceTimeUs: NOW_US, value, quality: 0, cause: 'change' };
}

async function delivered(store: ClassStore): Promise<unknown[]> {
  store.backlog.linkUp();
  const entries: unknown[] = [];
  for (
    let blocks = await store.backlog.next(1e6);
    blocks.length > 0;
    blocks = await store.backlog.next(1e6)
  ) {
    for (const block of blocks) {
      const bytes = await store.backlog.dictionary(block.header.dictionaryHash);
      const { tags } = decodeDictionary(block.header.dictionaryHash, bytes!);
      const decoded = decodeBlock(block);
      for (let at = 0; at < block.header.count; at++) {
        const entry = entryAt(decoded, at);
        entries.push('fromUs' in entry ? entry : `${tags[entry.tagIndex]?.name}=${entry.value}`);
      }
    }
  }
  return entries;
}

describe('store of a class', () => {
  it('takes its own tags only and labels them by its own dictionary', async () => {
    const { clock, store } = await openStore([1, 3]);
    store.accept([sample(0, 1), sample(1, 2), sample(2, 3), sample(3, 4)]);
    await clock.advance(300);
    expect(await delivered(store)).toEqual(['A.trip=2', 'C.trip=4']);
  });

  it('takes the gaps that concern its tags, and of their names its own', async () => {
    const { clock, store } = await openStore([1, 3]);
    const gap = { fromUs: 1, toUs: 2, reason: 'station-down' } as const;
    store.accept([
      { ...gap, station: 'A', tags: [] },
      { ...gap, station: 'B', tags: [] },
      { ...gap, station: 'A', tags: ['A.flow'] },
      { ...gap, station: 'A', tags: ['A.flow', 'A.trip'] },
      { ...gap, station: null, tags: [] },
    ]);
    await clock.advance(300);
    expect(await delivered(store)).toEqual([
      { ...gap, station: 'A', tags: [] },
      { ...gap, station: 'A', tags: ['A.trip'] },
      { ...gap, station: null, tags: [] },
    ]);
  });

  it('marks as alive only the time until which everything is safe', async () => {
    const { clock, store } = await openStore([0, 1, 2, 3], { share: 1 });
    const marks: number[] = [];
    const { ring } = store;
    const markAlive = ring.markAlive.bind(ring);
    ring.markAlive = (wallUs, next) => {
      marks.push(clock.wallUs() - wallUs);
      return markAlive(wallUs, next);
    };
    store.backlog.linkUp();
    await store.backlog.next(1);
    store.markAlive(null);
    store.accept([sample(0, 1)]);
    await clock.advance(250 + 400);
    store.markAlive(null);
    await clock.advance(1000);
    store.markAlive(null);
    expect(marks, 'nothing in memory; a block of 400 ms; spilled').toEqual([250_000, 650_000, 250_000]);
  });

  it('says in an outage when the ring is full, with blocks that are joined reckoned in', async () => {
    const { clock, store } = await openStore([0, 1, 2, 3], { share: 1, capacityBytes: 100_000 });
    const outage = async (seconds: number): Promise<void> => {
      for (let second = 0; second < seconds; second++) {
        store.accept([sample(0, second), sample(2, second / 7)]);
        await clock.advance(1000);
        void store.status;
      }
    };
    /** As if no block were joined. */
    const asItComesMs = (): number => {
      const { pace, backlog } = store.status;
      const { capacityBytes, unacknowledgedBytes } = backlog.ring;
      return ((capacityBytes - unacknowledgedBytes) / (pace.bytesPerS ?? 0)) * 1000;
    };
    await outage(30);
    expect(store.status.pace.fullInMs).toBeCloseTo(asItComesMs(), 3);
    await outage(200);
    expect(store.status.backlog.ring.segments).toBeGreaterThan(2);
    expect(store.status.pace.fullInMs).toBeGreaterThan(2 * asItComesMs());
  });

  it('keeps alarms while measurements turn their own part of the ring over and over', async () => {
    const alarms = await openStore([1, 3], { share: 0.2 });
    const rest = await openStore([0, 2], { share: 0.8 });
    const stores = [alarms, rest];
    for (const { store } of stores) store.accept([sample(1, 'first alarm'), sample(0, 'first value')]);
    const random = createSimulatedRandom(5);
    for (let turn = 0; turn < 300; turn++) {
      const noise = Buffer.from(random.bytes(6000)).toString('latin1');
      for (const { clock, store } of stores) {
        store.accept([sample(0, noise), sample(2, turn)]);
        await clock.advance(300);
      }
    }
    expect((await delivered(alarms.store))[0]).toBe('A.trip=first alarm');
    expect((await delivered(rest.store))[0]).not.toBe('A.flow=first value');
    expect(rest.store.ring.gaps()).toMatchObject([{ reason: 'evicted' }]);
    expect(alarms.store.ring.gaps()).toEqual([]);
  });

  it('has all durable and marked when it stands by, and numbers again when it is active', async () => {
    const { clock, store } = await openStore([0, 1, 2, 3], { share: 1 });
    const marks: unknown[] = [];
    const { ring } = store;
    const markAlive = ring.markAlive.bind(ring);
    ring.markAlive = async (wallUs, next, details) => {
      await markAlive(wallUs, next, details);
      marks.push([next, details?.isStandby, ring.streams().at(-1)?.durableThrough]);
    };
    store.backlog.linkUp();
    await store.backlog.next(1);
    store.accept([sample(0, 1), sample(2, 2)]);
    const standing = store.standBy(NOW_US);
    expect(store.hasRoom, 'for corrections of times').toBe(false);
    expect(() => store.accept([sample(0, 3)])).toThrow('stands by');
    await clock.advance(50);
    await standing;
    store.markAlive(NOW_US);
    await clock.advance(50);
    const activating = store.activate(NOW_US);
    expect(() => store.accept([sample(0, 3)]), 'the mark is not durable yet').toThrow('stands by');
    await clock.advance(50);
    await activating;
    store.accept([sample(0, 3)]);
    expect(marks).toEqual([
      [3, true, 2],
      [3, true, 2],
      [3, false, 2],
    ]);
    expect(store.producedTo).toBe(3);
  });

  it('stands by all the same on a disk that takes nothing, and marks that when it does', async () => {
    const { clock, store, disk } = await openStore([0, 1, 2, 3], { share: 1 });
    const { ring } = store;
    store.accept([sample(0, 1)]);
    disk.failing = 'write';
    let stands = false;
    void store.standBy(NOW_US).then(() => {
      stands = true;
    });
    await clock.advance(4900);
    expect(stands).toBe(false);
    await clock.advance(200);
    expect(stands).toBe(true);
    disk.failing = 'nothing';
    await clock.advance(2000);
    store.markAlive(NOW_US);
    await clock.advance(100);
    expect(ring.facts().streams.at(-1)).toMatchObject({ standbyThrough: 1, durableThrough: 1 });
  });

  it('does not wait for the disk where the Kernel has taken the rest', async () => {
    const { clock, store, disk } = await openStore([0, 1, 2, 3], { share: 1 });
    store.backlog.linkUp();
    store.accept([sample(0, 1)]);
    disk.failing = 'write';
    let stands = false;
    void store.standBy(NOW_US).then(() => {
      stands = true;
    });
    await clock.advance(100);
    store.backlog.acknowledge(store.ring.stream.streamId, 1);
    await clock.advance(100);
    expect(stands).toBe(true);
  });
});
