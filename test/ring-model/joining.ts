import { expect } from 'vitest';
import { inspectionOf } from '../../src/buffer/inspect.ts';
import { openTestRing, SMALL_DICTIONARY, smallBlocks, smallSample } from '../../src/buffer/ring.fixture.ts';
import type { Ring, RingBlock, RingOptions } from '../../src/buffer/ring.ts';
import { segmentName } from '../../src/buffer/segment.ts';
import { verifyRing } from '../../src/buffer/verify.ts';
import { blockEntryAt, decodeBlock } from '../../src/domain/block/codec.ts';
import { SimulatedClock } from '../../src/world/simulated/clock.ts';
import { SimulatedDisk } from '../../src/world/simulated/disk.ts';
import { createSimulatedRandom } from '../../src/world/simulated/random.ts';

/** Segments of 20 kB: about 160 small blocks. */
const CAPACITY_BYTES = 200_000;
/** A simulated disk with a ring whose segments take about 160 small blocks. */
export function makeWorld(seed = 1, defaults: Partial<RingOptions> = {}) {
  const clock = new SimulatedClock();
  const random = createSimulatedRandom(seed);
  const disk = new SimulatedDisk(clock, random);
  const open = async (options: Partial<RingOptions> = {}) => {
    const all = { capacityBytes: CAPACITY_BYTES, ...defaults, ...options };
    const ring = await openTestRing(disk, { clock, random }, all);
    await ring.putDictionary(SMALL_DICTIONARY);
    return ring;
  };
  return { clock, disk, open };
}

export type World = ReturnType<typeof makeWorld>;

/** Appends until there are so many segments; returns the last number. */
export async function fill(ring: Ring, segments: number, from = 1, count = 8): Promise<number> {
  let last = from - 1;
  while (ring.stat().segments < segments) {
    await ring.append(smallBlocks(ring, last + 1, last + 10 * count, count));
    last += 10 * count;
  }
  return last;
}

/** A ring with one sealed segment whose blocks were joined, and an open one. */
export async function joinedWorld(defaults: Partial<RingOptions> = {}) {
  const world = makeWorld(1, defaults);
  const ring = await world.open();
  const last = await fill(ring, 2);
  const before = ring.stat();
  await world.clock.advance(2000);
  return { ...world, ring, last, before };
}

/** Every number once, in order, each with its own sample. */
export function expectSamples(read: readonly RingBlock[], first: number, last: number): void {
  let next = first;
  for (const { block } of read) {
    const decoded = decodeBlock(block);
    expect(block.header.firstSequence).toBe(next);
    for (let at = 0; at < block.header.count; at += 1) {
      expect(blockEntryAt(decoded, at)).toEqual(smallSample(next + at));
    }
    next += block.header.count;
  }
  expect(next).toBe(last + 1);
}

/** Lets time go on until a copy of a segment is being written. */
export async function untilCopied(
  { clock, disk }: Pick<World, 'clock' | 'disk'>,
  source: number,
): Promise<void> {
  for (let step = 0; !segmentsOn(disk).includes(segmentName(source + 1)); step += 1) {
    expect(step).toBeLessThan(100);
    await clock.advance(50);
  }
  expect(segmentsOn(disk)).toContain(segmentName(source));
}

export function segmentsOn(disk: SimulatedDisk): string[] {
  return disk.names.filter((name) => name.startsWith('segment-'));
}

export async function problemsOf(ring: Ring): Promise<string[]> {
  const problems: string[] = [];
  for await (const { what } of verifyRing(inspectionOf(ring))) problems.push(what);
  return problems;
}
