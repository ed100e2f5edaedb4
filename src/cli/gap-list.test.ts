import { expect, test } from 'vitest';
import { depthOf } from '../agent/depth.ts';
import { blocksOf, openTestRing } from '../buffer/ring.fixture.ts';
import { knownCounts, OPEN_END, type SequenceGap } from '../domain/gap.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { reportOf } from './buffer-report.ts';
import { csvRow, jsonRow } from './buffer-rows.ts';
import { gapLine, ledgerLines, reportedGap } from './gap-list.ts';

const UNKNOWN: SequenceGap = {
  streamId: 'f'.repeat(32),
  firstSequence: 7,
  lastSequence: OPEN_END,
  reason: 'store-lost',
  fromUs: 1_767_225_600_000_000,
  toUs: 1_767_225_601_000_000,
  countAtMost: OPEN_END,
};

test('a count that nobody knows is told as such, in every form', () => {
  expect(gapLine(reportedGap(UNKNOWN))).toBe(
    `${UNKNOWN.streamId} 7–the end: store-lost, unknown how many samples, ` +
      '2026-01-01T00:00:00.000000Z to 2026-01-01T00:00:01.000000Z',
  );
  expect(reportedGap(UNKNOWN)).toMatchObject({ lastSequence: null, countAtMost: null, toldAtUs: null });
  expect(knownCounts({ 'store-lost': OPEN_END, crash: 3 })).toEqual({ 'store-lost': null, crash: 3 });
  expect(csvRow({ kind: 'sequence-gap', gap: UNKNOWN })).toContain('store-lost,unknown,');
  expect(JSON.parse(jsonRow({ kind: 'sequence-gap', gap: UNKNOWN }))).toMatchObject({
    ...{ countAtMost: null, lastSequence: null },
  });
});

test('no figure of a ring stands for something that nobody knows', async () => {
  const clock = new SimulatedClock();
  const random = createSimulatedRandom(9);
  const disk = new SimulatedDisk(clock, random);
  const first = await openTestRing(disk, { clock, random });
  const { streamId } = first.stream;
  await first.append(blocksOf(first, 1, 1));
  await first.declareGap({ ...UNKNOWN, streamId, firstSequence: 11, reason: 'rejected' });
  await first.close();
  const ring = await openTestRing(disk, { clock, random });
  await ring.acknowledge(streamId, OPEN_END);
  await ring.markAlive(0, 1);
  const inspection = { damages: [] };
  const view = { name: 'r', inspection, capacityBytes: 1, diskBytes: 1, status: null, withTold: true };
  const depth = depthOf({ part: 'main', store: { ring } });
  const report = reportOf(ring.facts(), view);
  const answer = JSON.stringify([ring.stat(), depth, report]);
  expect(answer.match(/"(rejected|ackedThrough|lastSequence|countAtMost)":null/g)).toHaveLength(6);
  expect(answer).not.toContain(String(OPEN_END));
});

test('a loss that was told says when', () => {
  const told = { ...UNKNOWN, lastSequence: 9, countAtMost: 3, toldAtUs: 1_767_225_602_000_000, serial: 1 };
  expect(gapLine(reportedGap(told))).toContain('7–9: store-lost, at most 3 samples');
  expect(gapLine(reportedGap(told))).toContain(', told at 2026-01-01T00:00:02.000000Z');
});

test('the journal says what it does not have', () => {
  const ledger = { sinceUs: 1_767_225_600_000_000, isRebuilt: true, pushedOut: 4 };
  const lines = [...ledgerLines({ ledger, told: 1000 })].join('\n');
  expect(lines).toMatch(/1000 losses.*2026-01-01.*4 older ones/);
  expect(lines).toContain('the meta database was lost or damaged');
  expect([...ledgerLines({ ledger: null, told: 0 })]).toHaveLength(1);
});
