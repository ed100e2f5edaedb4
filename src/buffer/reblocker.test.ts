import { expect, test } from 'vitest';
import {
  expectSamples,
  fill,
  joinedWorld,
  makeWorld,
  problemsOf,
  segmentsOn,
  untilCopied,
} from '../../test/ring-model/joining.ts';
import { exportRing } from './export.ts';
import { inspectionOf, inspectRing } from './inspect.ts';
import { decodeDictionaryRecord, dictionaryKey } from './record.ts';
import { blocksOf, drained, SMALL_DICTIONARY, sequencesOf, smallBlocks } from './ring.fixture.ts';
import type { Ring } from './ring.ts';
import { verifyRing } from './verify.ts';

test('small blocks of a sealed segment become full ones: the same samples in half the room', async () => {
  const { disk, ring, last, before } = await joinedWorld();
  const after = ring.stat();
  expect(segmentsOn(disk)).toEqual(['segment-0000000002', 'segment-0000000003']);
  expect(after).toMatchObject({ samples: last, segments: 2, unacknowledgedSamples: last });
  expect(after.blocks).toBeLessThan(before.blocks / 10);
  expect(after.diskBytes).toBeLessThan(before.diskBytes / 2);
  expect(ring.streams()[0]?.held).toEqual([{ first: 1, last }]);
  expectSamples(await drained(ring), 1, last);
  expect(await problemsOf(ring)).toEqual([]);
  await ring.close();
});

test('the next run reads it, labels it, and finds nothing wrong; nothing is joined twice', async () => {
  const { clock, disk, open, ring, last } = await joinedWorld();
  await ring.endStream(last, 1);
  await ring.close();
  const offline = await inspectRing(disk);
  const problems: string[] = [];
  for await (const { what } of verifyRing(offline)) problems.push(what);
  await offline[Symbol.asyncDispose]();
  expect(problems).toEqual([]);
  const again = await open();
  const { blocks } = again.stat();
  expectSamples(await drained(again), 1, last);
  expect(await again.dictionary(SMALL_DICTIONARY.hash)).toEqual(Uint8Array.from(SMALL_DICTIONARY.bytes));
  const record = disk.value('segment-0000000002', dictionaryKey(SMALL_DICTIONARY.hash));
  expect([...(decodeDictionaryRecord(record ?? new Uint8Array()) ?? [])]).toEqual([
    ...SMALL_DICTIONARY.bytes,
  ]);
  await fill(again, 3);
  await clock.advance(2000);
  expect(segmentsOn(disk), 'what another run wrote stays as it is').toEqual([
    'segment-0000000002',
    'segment-0000000003',
    'segment-0000000005',
  ]);
  expect(again.stat().blocks).toBeGreaterThan(blocks);
});

test('a reader that stands behind any small block goes on with the next number', async () => {
  const world = makeWorld();
  const ring = await world.open();
  const last = await fill(ring, 2);
  const small = await drained(ring);
  await world.clock.advance(2000);
  for (const { position, block } of small) {
    const { firstSequence, count } = block.header;
    const next = firstSequence + count;
    const read = await ring.readUnacknowledged(position, 1);
    if (next > last) continue;
    const [found] = read.blocks;
    expect(found?.position).toBeGreaterThan(position);
    expect(found?.block.header.firstSequence).toBeLessThanOrEqual(next);
    const end = (found?.block.header.firstSequence ?? 0) + (found?.block.header.count ?? 0) - 1;
    expect(end).toBeGreaterThanOrEqual(next);
  }
  const { streamId } = ring.stream;
  for (let first = 1; first + 20 <= last; first += 37) {
    const { blocks } = await ring.read(streamId, { first, last: first + 20 }, 1_000_000);
    const [range, ...others] = sequencesOf(blocks).get(streamId) ?? [];
    expect(others).toEqual([]);
    expect(range?.first).toBeLessThanOrEqual(first);
    expect(range?.last).toBeGreaterThanOrEqual(first + 20);
  }
  await ring.acknowledge(streamId, 700);
  expect((await drained(ring))[0]?.block.header.firstSequence).toBeLessThanOrEqual(701);
});

test('reading by number seeks over positions without a block', async () => {
  const { clock, disk, open } = makeWorld(1, { capacityBytes: 8_000_000 });
  const ring = await open();
  await fill(ring, 2, 1, 60);
  await clock.advance(20_000);
  expect(segmentsOn(disk)).toHaveLength(2);
  const [first] = await drained(ring, 1);
  expect(first?.block.header.count).toBeGreaterThan(8000);
  const keys = disk.keys('segment-0000000002').length;
  expect(keys).toBeGreaterThan(20);
  let reads = 0;
  const open2 = disk.open.bind(disk);
  await ring.close();
  disk.open = async (name, options) => {
    const store = await open2(name, options);
    const read = store.read.bind(store);
    store.read = (range) => {
      reads += name === 'segment-0000000002' ? 1 : 0;
      return read(range);
    };
    return store;
  };
  const again = await open();
  const behind = (first?.block.header.count ?? 0) * (keys - 3);
  const { blocks } = await again.read(ring.stream.streamId, { first: behind, last: behind }, 1);
  expect(blocks).toHaveLength(1);
  expect(reads, 'about the logarithm of the positions').toBeLessThan(20);
});

test('blocks of which a loss was declared are not joined with others', async () => {
  const { clock, disk, open } = makeWorld();
  const ring = await open();
  const { streamId } = ring.stream;
  const gap = { streamId, reason: 'rejected', fromUs: 1, toUs: 2, countAtMost: 8 } as const;
  await ring.append(smallBlocks(ring, 1, 400));
  await ring.declareGap({ ...gap, firstSequence: 81, lastSequence: 88 });
  await fill(ring, 2, 401);
  await clock.advance(2000);
  const read = await drained(ring);
  expect(read.slice(0, 3).map(({ block }) => block.header.count)).toEqual([80, 8, expect.any(Number)]);
  expect(segmentsOn(disk)[0]).toBe('segment-0000000002');
});

test('a loss that is declared while blocks are joined leaves them as they are', async () => {
  const { clock, disk, open } = makeWorld();
  const ring = await open();
  const { streamId } = ring.stream;
  await fill(ring, 2);
  await clock.advance(60);
  const gap = { streamId, reason: 'rejected', fromUs: 1, toUs: 2, countAtMost: 8 } as const;
  await ring.declareGap({ ...gap, firstSequence: 81, lastSequence: 88 });
  await clock.advance(2000);
  expect(segmentsOn(disk)).toEqual(['segment-0000000001', 'segment-0000000003']);
});

test.each([
  ['blocks that nothing makes smaller', {}, (ring: Ring) => ring.append(blocksOf(ring, 1, 40))],
  ['blocks that are large', {}, (ring: Ring) => ring.append(smallBlocks(ring, 1, 120_000, 3000))],
  [
    'room above the floor for one segment only',
    { freeDiskFloorBytes: 70_000 },
    (ring: Ring) => fill(ring, 2),
  ],
] as const)('%s: nothing is made', async (_name, options, append) => {
  const { clock, disk, open } = makeWorld();
  disk.totalBytes = 110_000;
  const ring = await open(options);
  await append(ring);
  const made = disk.operations;
  await clock.advance(2000);
  expect(segmentsOn(disk).every((name) => /[13579]$/.test(name))).toBe(true);
  const { blocks } = ring.stat();
  expect(await drained(ring)).toHaveLength(blocks);
  // What was listed for a copy goes, and what was kept open for it is closed.
  expect(disk.operations - made).toBeLessThanOrEqual(4);
});

test('reading another segment ends it; what there was of the copy is deleted', async () => {
  const { clock, disk, open } = makeWorld(1, { capacityBytes: 8_000_000 });
  const ring = await open();
  const first = await fill(ring, 2, 1, 60);
  await clock.advance(30_000);
  await fill(ring, 3, first + 1, 60);
  await untilCopied({ clock, disk }, 3);
  const read = await ring.readUnacknowledged(null, 1);
  expect(read.blocks).toHaveLength(1);
  expect(segmentsOn(disk)).toEqual(['segment-0000000002', 'segment-0000000003', 'segment-0000000005']);
  await clock.advance(30_000);
  expect(segmentsOn(disk)).toEqual(['segment-0000000002', 'segment-0000000003', 'segment-0000000005']);
  await ring.close();
});

test('what is acknowledged or evicted meanwhile goes', async () => {
  for (const policy of ['on-outage', 'always'] as const) {
    const { clock, disk, open } = makeWorld(1, { policy, capacityBytes: 8_000_000 });
    const ring = await open();
    const last = await fill(ring, 2, 1, 60);
    await untilCopied({ clock, disk }, 1);
    await ring.acknowledge(ring.stream.streamId, last);
    await clock.advance(30_000);
    expect(segmentsOn(disk)).toEqual(
      policy === 'always' ? ['segment-0000000002', 'segment-0000000003'] : ['segment-0000000003'],
    );
    expect(await drained(ring)).toEqual([]);
    await ring.close();
  }
});

test('what is acknowledged when the copy is complete goes, and the copy too', async () => {
  const { clock, disk, open } = makeWorld(1, { policy: 'on-outage' });
  const ring = await open();
  const last = await fill(ring, 2);
  let acknowledged: Promise<void> | undefined;
  disk.beforeOperation = () => {
    if (segmentsOn(disk).includes('segment-0000000002')) {
      acknowledged ??= ring.acknowledge(ring.stream.streamId, last);
    }
  };
  await clock.advance(2000);
  await acknowledged;
  expect(segmentsOn(disk)).toEqual(['segment-0000000003']);
  expect(ring.stat()).toMatchObject({ segments: 1, unacknowledgedSamples: 0 });
});

test('a ring that closes meanwhile is whole when it opens', async () => {
  for (const afterMs of [0, 60, 130, 400, 1000]) {
    const { clock, disk, open } = makeWorld(1, { capacityBytes: 1_000_000 });
    const ring = await open();
    const last = await fill(ring, 2, 1, 20);
    await clock.advance(afterMs);
    await ring.close();
    await clock.advance(5000);
    const again = await open({ capacityBytes: 1_000_000 });
    expectSamples(await drained(again), 1, last);
    expect(segmentsOn(disk)).toHaveLength(2);
    await again.close();
  }
});

test('an append never waits for more than one other job meanwhile', async () => {
  const SYNC_MS = 100;
  const { clock, disk, open } = makeWorld(1, { capacityBytes: 8_000_000 });
  const ring = await open();
  let last = await fill(ring, 2, 1, 60);
  disk.syncMs = { min: SYNC_MS, max: SYNC_MS };
  const tookMs: number[] = [];
  while (segmentsOn(disk)[0] !== 'segment-0000000002') {
    const startMs = clock.monotonicMs();
    await clock.runUntil(ring.append(smallBlocks(ring, last + 1, last + 60, 60)));
    last += 60;
    tookMs.push(clock.monotonicMs() - startMs);
    await clock.advance(90);
  }
  expect(tookMs.length).toBeGreaterThan(20);
  expect(Math.max(...tookMs)).toBeGreaterThan(SYNC_MS);
  expect(Math.max(...tookMs)).toBeLessThanOrEqual(2 * SYNC_MS);
  expect(disk.openMost, 'meta, the written, the read, and the copy').toBe(4);
});

test('an export and a verification that are under way when it happens tell each number once', async () => {
  const { clock, open } = makeWorld(1, { capacityBytes: 8_000_000 });
  const ring = await open();
  const last = await fill(ring, 2, 1, 20);
  const exported = exportRing(inspectionOf(ring));
  const verified = verifyRing(inspectionOf(ring));
  const numbers: number[] = [];
  const take = async (count: number) => {
    for (let taken = 0; taken < count; taken += 1) {
      const { value, done } = await exported.next();
      if (done) return;
      if (value.kind === 'sample') numbers.push(value.sequence);
    }
  };
  await take(1000);
  const checking = verified.next();
  await clock.advance(60_000);
  expect(ring.stat().blocks).toBeLessThan(last / 100);
  await take(Number.MAX_SAFE_INTEGER);
  expect(numbers.findIndex((number, at) => number !== at + 1)).toBe(-1);
  expect(numbers).toHaveLength(last);
  expect(await checking).toMatchObject({ done: true, value: { samples: last, problems: 0 } });
});
