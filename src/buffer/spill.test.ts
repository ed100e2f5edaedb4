import { expect, test } from 'vitest';
import { powerCutBoundMs } from '../domain/power-cut.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { Assembler } from './assembler.ts';
import { Backlog } from './backlog.ts';
import { openTestRing } from './ring.fixture.ts';
import { SlowestOfHour } from './slowest.ts';

const SYNC_MS = 80;
const AGES = { blockAgeMs: 250, spillAgeMs: 500 } as const;

/** Samples every 10 ms through assembler, backlog and ring, with an alive mark now and then. */
async function setUp(store: 'always' | 'on-outage') {
  const random = createSimulatedRandom(11);
  const clock = new SimulatedClock();
  const disk = new SimulatedDisk(clock, random);
  const ring = await openTestRing(disk, { clock, random }, { policy: store, capacityBytes: 1_000_000 });
  disk.syncMs = { min: SYNC_MS, max: SYNC_MS };
  const backlog = new Backlog({ ...AGES, ring, policy: store, windowBytes: 1e6, clock, log: silentLog });
  const assembler = new Assembler({
    ...AGES,
    streamId: ring.stream.streamId,
    dictionaryHash: 'd'.repeat(32),
    clock,
    seal: (block) => backlog.accept(block),
    hasRoom: () => backlog.hasRoom,
    numbered: () => undefined,
    overloadEnded: () => undefined,
  });
  clock.repeat('sample', 10, () => {
    const sourceTimeUs = Math.round(clock.monotonicMs() * 1000);
    assembler.accept([{ tagIndex: 0, sourceTimeUs, value: 1, quality: 0, cause: 'change' }]);
  });
  clock.repeat('mark', 130, () => void ring.markAlive(clock.wallUs(), assembler.nextSequence));
  return { clock, ring, backlog };
}

test.each(['always', 'on-outage'] as const)(
  '%s: the oldest sample at risk is as old as said',
  async (store) => {
    const { clock, ring, backlog } = await setUp(store);
    backlog.linkUp();
    let oldestMs = 0;
    for (let step = 0; step < 4000; step += 1) {
      await clock.advance(5);
      const { durableThrough } = ring.streams()[0] ?? { durableThrough: 0 };
      const nextMs = (durableThrough + 1) * 10;
      if (durableThrough > 0) oldestMs = Math.max(oldestMs, clock.monotonicMs() - nextMs);
    }
    const { slowestWriteMs } = backlog.stat();
    expect(slowestWriteMs).toBeLessThanOrEqual(2 * SYNC_MS + 5);
    const boundMs = powerCutBoundMs({ ...AGES, store, writeMs: slowestWriteMs });
    expect(oldestMs).toBeLessThanOrEqual(boundMs);
    expect(oldestMs).toBeGreaterThan(AGES.blockAgeMs + (store === 'always' ? 0 : AGES.spillAgeMs));
  },
);

test('a write that is under way counts with its time so far', async () => {
  const clock = new SimulatedClock();
  const slowest = new SlowestOfHour(clock);
  void slowest.measure(() => clock.sleep(900));
  await clock.advance(400);
  expect(slowest.slowestMs()).toBe(400);
  await clock.advance(3000);
  expect(slowest.slowestMs()).toBe(900);
  await clock.advance(3_700_000);
  expect(slowest.slowestMs()).toBe(0);
});
