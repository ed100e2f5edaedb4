import { expect, test } from 'vitest';
import { OPEN_END, type SequenceGap } from '../domain/gap.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { blocksOf, openTestRing } from './ring.fixture.ts';
import type { Ring } from './ring.ts';
import { TOLD_GAPS_MAX, withTold } from './told-gaps.ts';

const GAP = { reason: 'rejected', fromUs: 10, toUs: 20 } as const;

function setUp() {
  const clock = new SimulatedClock();
  const random = createSimulatedRandom(9);
  const disk = new SimulatedDisk(clock, random);
  return { clock, disk, open: () => openTestRing(disk, { clock, random }) };
}

/** Declares a loss of two numbers and lets a Kernel have everything up to it. */
async function loseAndTell(ring: Ring, firstSequence: number): Promise<void> {
  const { streamId } = ring.stream;
  const lastSequence = firstSequence + 1;
  await ring.declareGap({ ...GAP, streamId, firstSequence, lastSequence, countAtMost: 2 });
  await ring.acknowledge(streamId, lastSequence);
  await ring.markAlive(0, lastSequence + 1);
}

test('a loss goes over into the journal when a Kernel has it, and outlives restarts', async () => {
  const { clock, open } = setUp();
  const ring = await open();
  const { streamId } = ring.stream;
  await ring.append(blocksOf(ring, 1, 3));
  await ring.declareGap({ ...GAP, streamId, firstSequence: 21, lastSequence: 30, countAtMost: 10 });
  expect(ring.facts()).toMatchObject({ told: [], gaps: [{ firstSequence: 21 }] });
  await clock.advance(5000);
  await ring.acknowledge(streamId, 30);
  const toldAtUs = clock.wallUs();
  await ring.markAlive(0, 31);
  const entry = {
    ...GAP,
    streamId,
    firstSequence: 21,
    lastSequence: 30,
    countAtMost: 10,
    serial: 1,
    toldAtUs,
  };
  expect(ring.facts()).toMatchObject({ told: [entry], gaps: [], lost: { rejected: 10 } });
  await ring.close();
  const again = await open();
  await again.append(blocksOf(again, 1, 1));
  await loseAndTell(again, 1);
  expect(again.facts().told).toMatchObject([entry, { serial: 2, streamId: again.stream.streamId }]);
  expect(again.facts().ledger).toEqual({ sinceUs: toldAtUs - 5_000_000, isRebuilt: false, pushedOut: 0 });
});

test('the journal is bounded; the totals go on', () => {
  const gap: SequenceGap = { ...GAP, streamId: 'a', firstSequence: 1, lastSequence: 2, countAtMost: 2 };
  let journal = withTold({ told: [], pushedOut: 0 }, Array(TOLD_GAPS_MAX).fill(gap), 7);
  expect(journal).toMatchObject({ pushedOut: 0, told: { length: TOLD_GAPS_MAX } });
  journal = withTold(journal, [gap, gap, gap], 8);
  expect(journal.told).toHaveLength(TOLD_GAPS_MAX);
  expect([journal.told[0]?.serial, journal.told.at(-1)?.serial, journal.pushedOut]).toEqual([4, 1003, 3]);
});

test('a journal that was lost with the meta database says since when it is', async () => {
  const { clock, disk, open } = setUp();
  const ring = await open();
  await ring.append(blocksOf(ring, 1, 3));
  await loseAndTell(ring, 1);
  await ring.close();
  await disk.remove('meta');
  await clock.advance(60_000);
  const again = await open();
  expect(again.facts()).toMatchObject({
    told: [],
    ledger: { sinceUs: clock.wallUs(), isRebuilt: true },
  });
});

test('a count that nobody knows makes a sum that nobody knows', async () => {
  const { open } = setUp();
  const ring = await open();
  const { streamId } = ring.stream;
  const endless = { ...GAP, streamId, firstSequence: 1, lastSequence: OPEN_END, countAtMost: OPEN_END };
  await ring.declareGap(endless);
  expect(ring.stat().lostByReason.rejected).toBeNull();
});
