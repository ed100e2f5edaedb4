import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { blockOf, openTestRing, START_US } from './ring.fixture.ts';
import { TimeMarks } from './time-marks.ts';

/** Block number `at`: ten sequences, a second later each. */
const block = (at: number) => ({ firstSequence: 10 * at + 1, count: 10, fromUs: at * 1_000_000 });

describe('marks of times', () => {
  it('tell how old the oldest from a sequence on is, in whatever order times come', () => {
    const marks = new TimeMarks();
    expect(marks.oldestFrom(1)).toBeNull();
    for (const at of [0, 1, 2]) marks.note(block(at));
    marks.note({ firstSequence: 31, count: 10, fromUs: 500_000 });
    expect([1, 10, 11, 31, 99].map((sequence) => marks.oldestFrom(sequence))).toEqual([
      ...[0, 0, 500_000, 500_000, 500_000],
    ]);
    marks.dropThrough(25);
    expect([1, 26].map((sequence) => marks.oldestFrom(sequence))).toEqual([500_000, 500_000]);
  });

  it('of any number of blocks are a little early at most, and never late', () => {
    const marks = new TimeMarks();
    const count = 100_000;
    for (let at = 0; at < count; at++) marks.note(block(at));
    for (const at of [0, 1, 777, 50_000, 99_999]) {
      const said = marks.oldestFrom(10 * at + 5) ?? Number.NaN;
      expect(said).toBeLessThanOrEqual(at * 1_000_000);
      expect(said).toBeGreaterThan((at - count / 200) * 1_000_000);
    }
    // What is wholly acknowledged makes nothing that follows coarse.
    marks.dropThrough(10 * count);
    expect(marks.oldestFrom(1)).toBeNull();
    for (const at of [count, count + 1]) marks.note(block(at));
    expect(marks.oldestFrom(10 * count + 11)).toBe((count + 1) * 1_000_000);
  });
});

describe('the oldest that waits in a ring', () => {
  const make = async (policy: 'always' | 'on-outage', capacityBytes: number) => {
    const [clock, random] = [new SimulatedClock(), createSimulatedRandom(7)];
    const disk = new SimulatedDisk(clock, random);
    const open = () => openTestRing(disk, { clock, random }, { policy, capacityBytes });
    return { open, ring: await open() };
  };
  const timeOf = (sequence: number): number => START_US + sequence * 1000;

  it.each(['always', 'on-outage'] as const)('moves on with what is acknowledged (%s)', async (policy) => {
    const { ring } = await make(policy, 10_000_000);
    const { streamId } = ring.stream;
    const oldest = () => ring.stat().oldestUnacknowledgedUs;
    expect(oldest()).toBeNull();
    await ring.append([blockOf(streamId, 1), blockOf(streamId, 11), blockOf(streamId, 21)]);
    expect(oldest()).toBe(timeOf(1));
    await ring.acknowledge(streamId, 10);
    expect(oldest()).toBe(timeOf(11));
    await ring.acknowledge(streamId, 30);
    expect(oldest()).toBeNull();
    // Another outage, in the same segment.
    await ring.append([blockOf(streamId, 100_001)]);
    expect(oldest()).toBe(timeOf(100_001));
  });

  it('is not what was pushed out', async () => {
    const { ring } = await make('always', 100_000);
    const { streamId } = ring.stream;
    for (let at = 0; at < 200; at++) await ring.append([blockOf(streamId, 10 * at + 1)]);
    const { oldestUs, oldestUnacknowledgedUs } = ring.stat();
    expect(oldestUnacknowledgedUs).toBeGreaterThan(timeOf(1));
    expect(oldestUnacknowledgedUs).toBe(oldestUs);
  });

  it('is of a former run, too, where that is not acknowledged', async () => {
    const { ring, open } = await make('always', 10_000_000);
    const former = ring.stream.streamId;
    await ring.append([blockOf(former, 1)]);
    await ring.close();
    const again = await open();
    await again.append([blockOf(again.stream.streamId, 50_001)]);
    expect(again.stat().oldestUnacknowledgedUs).toBe(timeOf(1));
    await again.acknowledge(former, 10);
    expect(again.stat().oldestUnacknowledgedUs).toBe(timeOf(50_001));
  });
});
