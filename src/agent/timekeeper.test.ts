import { expect, test, vi } from 'vitest';
import type { ClockFix } from '../domain/clock-fix.ts';
import type { Dictionary } from '../domain/dictionary.ts';
import { ReportByException } from '../domain/report-by-exception.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { AgentClock } from './agent-clock.ts';
import { ClassStore } from './class-store.ts';
import { pauseSince, Timekeeper } from './timekeeper.ts';

const BOOT = 'b'.repeat(32);
const HOUR_MS = 3_600_000;
const HOUR_US = HOUR_MS * 1000;

const dictionary: Dictionary = {
  site: 'S',
  process: 'KomA',
  tags: [{ name: 'T', station: 'P', class: 'measurement', type: 'int64', unit: '', formerly: [] }],
};

/** A machine that has the time of the Kernel only from the Kernel; its own clock is an hour behind. */
async function machine() {
  const time = new SimulatedClock();
  // A clock before the first release counts as never set.
  await time.advance(2 * HOUR_MS);
  const random = createSimulatedRandom(1);
  const disk = new SimulatedDisk(time, random);
  const system = {
    monotonicMs: () => time.monotonicMs(),
    wallUs: () => time.wallUs() - HOUR_US,
    sleep: time.sleep.bind(time),
    schedule: time.schedule.bind(time),
    repeat: time.repeat.bind(time),
  };
  const start = async () => {
    const clock = new AgentClock({ system, mode: 'kernel', bootId: BOOT });
    const store = await ClassStore.open({
      ...{ disk, share: 1, dictionary, tagIndexes: [0], clock, random, log: silentLog, bootId: BOOT },
      buffer: {
        ...{ store: 'always', capacityBytes: 1_000_000, freeDiskFloorBytes: 0, alarmShare: 0 },
        ...{ whenFull: 'drop-oldest', powerCutLossMaxMs: 1000, blockAgeMs: 250, spillAgeMs: 500 },
        ...{ aliveMarkMs: 5000, windowBytes: 1_000_000 },
      },
      overloadEnded: () => {},
      startTimeUs: ({ aliveUntilUs, clock: last }) => {
        if (last !== null) clock.begin(aliveUntilUs, last.saved);
        return clock.wallUs();
      },
    });
    const fixes: ClockFix[] = [];
    vi.spyOn(store, 'acceptFixes').mockImplementation((all) => void fixes.push(...all));
    const report = new ReportByException([], null);
    const stores = [store];
    const timekeeper = new Timekeeper({
      ...{ clock, bootId: BOOT, stores, report, log: silentLog, accept: () => {} },
    });
    const number = (count: number): void => {
      const sourceTimeUs = clock.wallUs();
      for (let at = 0; at < count; at++)
        store.accept([{ tagIndex: 0, sourceTimeUs, value: 1n, quality: 0, cause: 'change' }]);
    };
    const mark = async () => {
      store.markAlive(null, timekeeper.streamClock(store));
      await time.advance(1000);
    };
    const hearKernel = (): void => {
      const monotonicUs = time.monotonicMs() * 1000;
      const kernelUs = time.wallUs();
      clock.learn({
        ...{ sentUs: monotonicUs - 2000, receivedUs: monotonicUs },
        ...{ kernelReceivedUs: kernelUs - 1000, kernelSentUs: kernelUs - 1000 },
      });
      timekeeper.beat(() => ({ wallUs: clock.wallUs(), monotonicMs: time.monotonicMs() }));
    };
    const { streamId } = store.ring.stream;
    return { clock, store, streamId, fixes, number, mark, hearKernel };
  };
  return { time, disk, start };
}

test('of a run that was cut off, only what was given before its last mark is known to be off', async () => {
  const { time, disk, start } = await machine();
  const first = await start();
  first.number(5);
  await first.mark();
  first.hearKernel();
  first.number(7);
  await time.advance(1000);
  disk.killProcess();
  const second = await start();
  second.hearKernel();
  const own = second.fixes.filter(({ streamId }) => streamId === first.streamId);
  expect(own).toMatchObject([{ firstSequence: 1, lastSequence: 5, offsetUs: HOUR_US }]);
});

test('a run that was cut off before its first mark leaves what it knew of the clock', async () => {
  const { time, disk, start } = await machine();
  const first = await start();
  first.hearKernel();
  await first.mark();
  disk.killProcess();
  await start();
  disk.killProcess();
  const third = await start();
  expect(third.clock.wallUs()).toBe(time.wallUs());
  expect(pauseSince(third.store.ring, { clock: third.clock, bootId: BOOT })?.isOwnClock).toBe(true);
});
