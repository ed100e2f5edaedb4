import { expect, test } from 'vitest';
import {
  expectSamples,
  fill,
  joinedWorld,
  makeWorld,
  problemsOf,
  segmentsOn,
  type World,
} from '../../test/ring-model/joining.ts';
import { positionKey, positionOf } from './record.ts';
import { drained, sequencesOf, smallBlocks } from './ring.fixture.ts';
import { segmentName } from './segment.ts';

/** What a crash at one operation left: everything that was durable, no gap, and no directory too many. */
async function expectWhole({ clock, disk, open }: World, streamId: string, last: number): Promise<void> {
  const again = await clock.runUntil(open());
  expect(again.gaps()).toEqual([]);
  expect(await disk.list('quarantine')).toEqual([]);
  const read = (await clock.runUntil(drained(again))).filter(
    ({ block }) => block.header.streamId === streamId,
  );
  expectSamples(read, 1, last);
  const listed = again.facts().segments.map(({ number }) => segmentName(number));
  expect(segmentsOn(disk).filter((name) => !listed.includes(name))).toEqual([]);
  expect(await clock.runUntil(problemsOf(again))).toEqual([]);
  await clock.runUntil(again.close());
}

/** Seals a segment, joins its blocks, and goes on; something happens at each operation of the disk. */
async function story(world: World, happens: (at: number) => void, from: number) {
  const { clock, disk, open } = world;
  const ring = await clock.runUntil(open());
  const { streamId } = ring.stream;
  const state = { operations: 0, last: 0, streamId, ring };
  let at = 0;
  disk.beforeOperation = () => {
    at += 1;
    happens(at - from);
  };
  const appends = async () => {
    for (;;) {
      const last = state.last + 40;
      await ring.append(smallBlocks(ring, state.last + 1, last));
      state.last = last;
      if (ring.stat().segments === 2) break;
    }
  };
  await clock.runUntil(appends().catch(() => undefined));
  await clock.advance(600);
  await clock.runUntil(ring.markAlive(clock.wallUs(), state.last + 1).catch(() => undefined));
  state.operations = at;
  disk.beforeOperation = undefined;
  return state;
}

test.each(['cutPower', 'killProcess'] as const)(
  '%s at any operation while blocks are joined loses nothing and leaves nothing behind',
  async (how) => {
    const quiet = await story(makeWorld(), () => undefined, 0);
    const from = quiet.operations - 16;
    const outcomes = new Set<string>();
    for (let at = 1; at <= 16; at += 1) {
      for (const seed of [at, at + 100]) {
        const world = makeWorld(seed);
        world.disk.syncMs = { min: 1, max: 5 };
        const { disk } = world;
        const happens = (operation: number) => {
          if (operation !== at) return;
          disk[how]();
          // Nothing that is still running here can do anything any more.
          disk.failing = 'all';
        };
        const { streamId, last } = await story(world, happens, from);
        disk.failing = 'nothing';
        outcomes.add(segmentsOn(disk).join());
        const again = await world.clock.runUntil(world.open());
        const held = again.streams()[0]?.held[0]?.last ?? 0;
        expect(held).toBeGreaterThanOrEqual(last);
        await world.clock.runUntil(again.close());
        await expectWhole(world, streamId, held);
      }
    }
    // Before the segment is sealed, after it, with the copy (before and after the swap), and after all of it.
    expect([...outcomes].sort()).toEqual([
      'segment-0000000001',
      'segment-0000000001,segment-0000000002,segment-0000000003',
      'segment-0000000001,segment-0000000003',
      'segment-0000000002,segment-0000000003',
    ]);
  },
);

test.each(['write', 'all'] as const)(
  'an error (%s) at any operation while blocks are joined is harmless',
  async (failing) => {
    const quiet = await story(makeWorld(), () => undefined, 0);
    const from = quiet.operations - 16;
    for (let at = 1; at <= 16; at += 1) {
      const world = makeWorld(at);
      const { clock, disk } = world;
      const happens = (operation: number) => {
        disk.failing = operation === at ? failing : 'nothing';
      };
      const { ring, streamId, last } = await story(world, happens, from);
      disk.failing = 'nothing';
      await clock.advance(1500);
      const more = smallBlocks(ring, last + 1, last + 80);
      await clock.runUntil(ring.append(more));
      await clock.runUntil(ring.markAlive(clock.wallUs(), last + 81));
      expect(ring.gaps()).toEqual([]);
      expectSamples(await clock.runUntil(drained(ring)), 1, last + 80);
      await clock.runUntil(ring.close());
      await expectWhole(world, streamId, last + 80);
    }
  },
);

test('a lost meta database finds one of the two in either state', async () => {
  for (const isBefore of [true, false]) {
    const { disk, open, ring, last } = await joinedWorld();
    await ring.close();
    disk.damage('meta', 'beyond-repair');
    if (isBefore) {
      // As if the segment had not been deleted yet: its copy says nothing that it does not say.
      const copy = await disk.open('segment-0000000002');
      await copy.batch([{ type: 'put', key: positionKey(1), value: new Uint8Array(3) }], { sync: true });
      await copy.close();
    }
    const again = await open();
    const ranges = sequencesOf(await drained(again)).get(ring.stream.streamId);
    expect(ranges).toEqual([{ first: 1, last }]);
    expect(again.gaps()).toEqual([]);
    await again.close();
  }
});

test('one flipped bit in a joined block costs that block, exactly; verify finds it', async () => {
  const { clock, disk, open } = makeWorld(1, { capacityBytes: 8_000_000 });
  const ring = await open();
  const last = await fill(ring, 2, 1, 60);
  await clock.advance(20_000);
  const [, second, third] = disk.keys('segment-0000000002').filter((key) => positionOf(key) !== undefined);
  const blocks = await drained(ring);
  disk.flipBit('segment-0000000002', second ?? new Uint8Array(), 900);
  disk.forget('segment-0000000002', third ?? new Uint8Array());
  const problems = await problemsOf(ring);
  expect(problems).toHaveLength(2);
  expect(problems.join()).toContain('CRC');
  expect(problems.join()).toContain('are missing');
  const lost = [blocks[1], blocks[2]].map((each) => each?.block.header);
  const first = lost[0]?.firstSequence ?? 0;
  const end = (lost[1]?.firstSequence ?? 0) + (lost[1]?.count ?? 0) - 1;
  const ranges = sequencesOf(await drained(ring)).get(ring.stream.streamId);
  expect(ranges).toEqual([
    { first: 1, last: first - 1 },
    { first: end + 1, last },
  ]);
  expect(ring.gaps()).toEqual([
    expect.objectContaining({ reason: 'corrupt', firstSequence: first, lastSequence: end }),
  ]);
});
