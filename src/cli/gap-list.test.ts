import { expect, test } from 'vitest';
import { OPEN_END, type SequenceGap } from '../domain/gap.ts';
import { csvRow, jsonRow } from './buffer-rows.ts';
import { gapLine, ledgerLines, reportedGap, reportedLosses } from './gap-list.ts';

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
  expect(reportedLosses({ 'store-lost': OPEN_END, crash: 3 })).toEqual({ 'store-lost': null, crash: 3 });
  expect(csvRow({ kind: 'sequence-gap', gap: UNKNOWN })).toContain('store-lost,unknown,');
  expect(JSON.parse(jsonRow({ kind: 'sequence-gap', gap: UNKNOWN }))).toMatchObject({ countAtMost: null });
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
