import { expect, test } from 'vitest';
import type { Clock } from '../world/clock.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { Assembler } from './assembler.ts';
import { Backlog } from './backlog.ts';
import { powerCutRisk } from './power-cut.ts';
import { openTestRing } from './ring.fixture.ts';
import { SlowestOfHour } from './slowest.ts';

const SYNC_MS = 80;
const AGES = { blockAgeMs: 250, spillAgeMs: 500 } as const;

/** The timers of assembler and backlog go off late, as on a machine that holds the process up. */
function lateBy(clock: SimulatedClock, lateMs: number): Clock {
  return {
    monotonicMs: () => clock.monotonicMs(),
    wallUs: () => clock.wallUs(),
    sleep: (ms, signal) => clock.sleep(ms, signal),
    schedule: (name, ms, run) => clock.schedule(name, ms + lateMs, run),
    repeat: (name, ms, run) => clock.repeat(name, ms, run),
  };
}

/** Samples every 10 ms through assembler, backlog and ring, with an alive mark now and then. */
async function setUp(store: 'always' | 'on-outage', { stallMs = 0, startSyncMs = 0 } = {}) {
  const random = createSimulatedRandom(11);
  const clock = new SimulatedClock();
  const timers = lateBy(clock, stallMs);
  const disk = new SimulatedDisk(clock, random);
  disk.syncMs = { min: startSyncMs, max: startSyncMs };
  const opening = openTestRing(disk, { clock, random }, { policy: store, capacityBytes: 1_000_000 });
  const ring = await clock.runUntil(opening);
  disk.syncMs = { min: SYNC_MS, max: SYNC_MS };
  const backlog = new Backlog({
    ...AGES,
    ring,
    policy: store,
    windowBytes: 1e6,
    clock: timers,
    log: silentLog,
  });
  const assembler = new Assembler({
    ...AGES,
    streamId: ring.stream.streamId,
    dictionaryHash: 'd'.repeat(32),
    clock: timers,
    seal: (block, firstMs) => backlog.accept(block, firstMs),
    hasRoom: () => backlog.hasRoom,
    numbered: () => undefined,
    overloadEnded: () => undefined,
  });
  clock.repeat('sample', 10, () => {
    const sourceTimeUs = Math.round(clock.monotonicMs() * 1000);
    assembler.accept([{ tagIndex: 0, sourceTimeUs, value: 1, quality: 0, cause: 'change' }]);
  });
  clock.repeat('mark', 130, () => {
    ring.markAlive(clock.wallUs(), assembler.nextSequence).catch(() => undefined);
  });
  const risk = () => powerCutRisk({ ...AGES, store }, { assembler, backlog, stat: backlog.stat() });
  return { clock, disk, ring, backlog, risk };
}

test.each([
  ['always', 0],
  ['always', 170],
  ['on-outage', 0],
  ['on-outage', 170],
] as const)('%s, held up for %i ms: the oldest sample at risk is as old as said', async (store, stallMs) => {
  const { clock, ring, backlog, risk } = await setUp(store, { stallMs });
  backlog.linkUp();
  let oldestMs = 0;
  for (let step = 0; step < 4000; step += 1) {
    await clock.advance(5);
    const { durableThrough } = ring.streams()[0] ?? { durableThrough: 0 };
    const atRiskMs = clock.monotonicMs() - (durableThrough + 1) * 10;
    if (durableThrough > 0) oldestMs = Math.max(oldestMs, atRiskMs);
    expect(Math.abs(risk().presentMs - Math.max(0, atRiskMs))).toBeLessThanOrEqual(10);
  }
  const said = risk();
  expect(said.writeMs).toBeGreaterThanOrEqual(SYNC_MS);
  // At most an alive mark under way, the listing of the first segment, and its own sync.
  expect(said.writeMs).toBeLessThanOrEqual(3 * SYNC_MS);
  expect(said.stallMs).toBe(stallMs);
  const ages = store === 'always' ? [AGES.blockAgeMs] : [AGES.blockAgeMs, AGES.spillAgeMs];
  const waitsMs = ages.reduce((sum, ageMs) => sum + ageMs + stallMs, 0);
  expect(said.boundMs).toBe(waitsMs + 2 * said.writeMs);
  expect(oldestMs).toBeLessThanOrEqual(said.boundMs);
  expect(oldestMs).toBeGreaterThan(waitsMs);
});

test('before the first block the writes of the start count', async () => {
  const { risk } = await setUp('always', { startSyncMs: 60 });
  expect(risk()).toEqual({ boundMs: AGES.blockAgeMs + 120, presentMs: 0, writeMs: 60, stallMs: 0 });
});

test('a disk that takes nothing: what waits longer than the bound is the bound', async () => {
  const { clock, disk, risk } = await setUp('on-outage');
  await clock.advance(2000);
  disk.failing = 'write';
  await clock.advance(30_000);
  const { boundMs, presentMs } = risk();
  expect(presentMs).toBeGreaterThan(29_000);
  expect(boundMs).toBe(presentMs);
});

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
