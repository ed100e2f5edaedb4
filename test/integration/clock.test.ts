import { expect, test } from 'vitest';
import { Mark } from '../../src/domain/marks.ts';
import type { Archive, ArchivedSample } from '../../src/world/archive.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { Setup, type SetupOptions } from './support/setup.ts';
import { sleep, until } from './support/until.ts';

const TAG = { site: 'Waterworks', tag: 'P1.volume' };
const HOUR_US = 3_600_000_000;
/** From reading to archive, and the uncertainty of a heartbeat on a busy machine. */
const TOLERANCE_US = 1_500_000;

/** An agent on a machine whose wall clock is ahead by `aheadMs`, which may be changed. */
async function onMachine(options: SetupOptions, machine: { aheadMs: number }) {
  let archive: Archive | undefined;
  const setup = await Setup.make({
    ...options,
    agentClock: createClock({
      epochMs: () => Date.now() + machine.aheadMs,
      monotonicMs: () => performance.now(),
    }),
    wrapArchive: (opened) => {
      archive = opened;
      return opened;
    },
  });
  await setup.startPlant();
  await setup.startKernel();
  const rows = async (): Promise<ArchivedSample[]> => {
    const all = { ...TAG, fromUs: 0, toUs: Number.MAX_SAFE_INTEGER, limit: 100_000 };
    return (await archive?.samples(all)) ?? [];
  };
  return { setup, rows };
}

const nowUs = () => Date.now() * 1000;

/** Rows come by corrected time: in the order of their numbers, each value once, none outside of the test. */
function expectRight(rows: readonly ArchivedSample[], fromUs: number): void {
  expect(rows.length).toBeGreaterThan(10);
  const numbers = rows.map(({ sequence }) => sequence);
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  const values = rows.map(({ value }) => Number(value));
  expect(values).toEqual([...new Set(values)].sort((a, b) => a - b));
  for (const { sourceTimeUs } of rows) {
    expect(sourceTimeUs).toBeGreaterThan(fromUs - TOLERANCE_US);
    expect(sourceTimeUs).toBeLessThan(nowUs() + TOLERANCE_US);
  }
}

test.each([HOUR_US, -HOUR_US])(
  'a wall clock that is set by %i µs in an outage costs nothing',
  async (byUs) => {
    const machine = { aheadMs: 0 };
    const startedUs = nowUs();
    const { setup, rows } = await onMachine({}, machine);
    await using _ = setup;
    setup.cable.cut();
    await setup.startAgent();
    await sleep(1500);
    machine.aheadMs = byUs / 1000;
    await setup.untilStatus('the step to be seen', ({ clock }) => clock.stepCount > 0);
    await sleep(1500);
    setup.cable.heal();
    await setup.untilOnline();
    const isSet = (row: ArchivedSample) => Math.abs(row.rawTimeUs - row.sourceTimeUs - byUs) < TOLERANCE_US;
    await until('the fix to be archived', async () => (await rows()).filter(isSet).length > 5);
    await setup.untilStatus('the right time', ({ clock }) => Math.abs(clock.kernelAheadUs ?? 9e9) < 1e6);
    expectRight(await rows(), startedUs);
    expect((await rows()).some((row) => row.rawTimeUs === row.sourceTimeUs)).toBe(true);
  },
);

test('without a real-time clock times are uncertain until the Kernel comes, and right then', async () => {
  const startedUs = nowUs();
  const { setup, rows } = await onMachine({ clock: 'kernel' }, { aheadMs: 5000 - Date.now() });
  await using _ = setup;
  setup.cable.cut();
  await setup.startAgent();
  await sleep(1000);
  const before = (await setup.status()).clock;
  expect(before).toMatchObject({ source: 'saved', state: 'uncertain', kernelAheadUs: null });
  setup.cable.heal();
  await setup.untilOnline();
  await setup.untilStatus("the Kernel's time", ({ clock }) => clock.state === 'certain');
  const isFixed = (row: ArchivedSample) => row.rawTimeUs !== row.sourceTimeUs;
  await until('the fix to be archived', async () => (await rows()).filter(isFixed).length > 5);
  const all = await rows();
  expectRight(all, startedUs);
  expect(all.filter(isFixed).every(({ marks }) => (marks & Mark.clockUncertain) !== 0)).toBe(true);
  expect(
    all.filter((row) => !isFixed(row)).every(({ marks }) => marks === 0 || marks === Mark.replayed),
  ).toBe(true);
});
