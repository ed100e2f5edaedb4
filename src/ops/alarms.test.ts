import { expect, test } from 'vitest';
import { silentLog } from '../world/log.ts';
import { AlarmTable, type Finding } from './alarms.ts';
import { findingsOf, type ProcessFacts, type StoreFacts } from './findings.ts';

const START_US = 1_767_225_600_000_000;

/** A table on a time of its own, and what it told the log. */
function setUp() {
  const told: string[] = [];
  const log = {
    ...silentLog,
    warn: (fields: object, text: string) => void told.push(`${JSON.stringify(fields)} ${text}`),
    info: (fields: object, text: string) => void told.push(`${JSON.stringify(fields)} ${text}`),
  };
  const table = new AlarmTable(log);
  let nowMs = 0;
  const look = (findings: readonly Finding[], afterMs: number) => {
    nowMs += afterMs;
    table.update(findings, { monotonicMs: nowMs, wallUs: START_US + nowMs * 1000 });
    return table.standing.map(({ code, subject }) => `${code} ${subject}`);
  };
  return { table, told, look };
}

function finding(level: Finding['level'], code: Finding['code'] = 'buffer-filling'): Finding {
  return { code, subject: 'KomA', level, text: `it is ${level}` };
}

test('is raised once, stands between the thresholds, and is cleared when it was gone for long enough', () => {
  const { table, told, look } = setUp();
  expect(look([finding('keep')], 0)).toEqual([]);
  expect(look([finding('raise')], 1000)).toEqual(['buffer-filling KomA']);
  expect(look([finding('raise')], 1000)).toHaveLength(1);
  expect(look([finding('keep')], 600_000)).toHaveLength(1);
  expect(look([finding('clear')], 1000)).toHaveLength(1);
  expect(look([finding('raise')], 59_000)).toHaveLength(1);
  expect(look([finding('clear')], 1000)).toHaveLength(1);
  expect(look([], 60_000)).toEqual([]);
  expect(told).toEqual([
    '{"alarm":"buffer-filling","subject":"KomA"} alarm: it is raise',
    '{"alarm":"buffer-filling","subject":"KomA"} alarm is over',
  ]);
  expect(table.past).toMatchObject([
    { code: 'buffer-filling', raisedAtUs: START_US + 1_000_000, clearedAtUs: START_US + 723_000_000 },
  ]);
});

test('one that must last is raised only when it lasted, and forgotten if it did not', () => {
  const { told, look } = setUp();
  const down = finding('raise', 'line-down');
  expect(look([down], 0)).toEqual([]);
  expect(look([down], 59_000)).toEqual([]);
  expect(look([finding('clear', 'line-down')], 500)).toEqual([]);
  expect(look([down], 500)).toEqual([]);
  expect(look([down], 59_999)).toEqual([]);
  expect(look([down], 1)).toEqual(['line-down KomA']);
  expect(told).toHaveLength(1);
});

test('keeps no more than it has room for, and no more past ones than are worth showing', () => {
  const { table, look } = setUp();
  const many = Array.from({ length: 1500 }, (_, at) => ({
    ...finding('raise', 'ring-not-durable'),
    subject: `P${at}`,
  }));
  expect(look(many, 0)).toHaveLength(1000);
  look([], 0);
  expect(look([], 10_000)).toEqual([]);
  expect(table.past).toHaveLength(32);
});

const WELL: StoreFacts = {
  name: 'KomA',
  ringState: 'healthy',
  lastError: null,
  powerCut: { boundMs: 900, configuredMs: 1000, writeMs: 75, stallMs: 0 },
  isInOutage: false,
  fill: 0.2,
  fullInMs: 3_600_000,
  quarantine: 0,
  overloadCount: 0,
  lostSinceLast: 0,
};

const PROCESS: ProcessFacts = {
  name: 'KomA',
  stores: [WELL],
  hasKernel: true,
  isClockUncertain: false,
  kernelAheadUs: 0,
  uplinkError: null,
  unansweredSamples: 0,
  lines: [{ name: 'L1', isConnected: true, lastError: null, doing: 'active' }],
  fitness: [],
  conditions: [],
};

function raised(process: ProcessFacts): string[] {
  return findingsOf(process).flatMap(({ code, level, subject }) =>
    level === 'raise' ? [`${code} ${subject}`] : [],
  );
}

test('nothing is raised of a process that is well', () => {
  expect(raised(PROCESS)).toEqual([]);
});

test.each<[string, Partial<StoreFacts>]>([
  ['power-cut-bound', { powerCut: { ...WELL.powerCut, boundMs: 1001 } }],
  ['ring-not-durable', { ringState: 'degraded' }],
  ['ring-not-durable', { ringState: 'volatile' }],
  ['overload', { overloadCount: 1 }],
  ['losing-samples', { lostSinceLast: 1 }],
  ['buffer-filling', { fill: 0.8 }],
  ['buffer-full-soon', { isInOutage: true }],
  ['quarantine-full', { quarantine: 1 }],
])('raises %s by itself: %o', (code, change) => {
  expect(raised({ ...PROCESS, stores: [{ ...WELL, ...change }] })).toEqual([`${code} KomA`]);
});

test.each([
  [1000, 'keep'],
  [951, 'keep'],
  [950, 'clear'],
])('a power-cut bound of %i ms of 1000 is %s', (boundMs, level) => {
  const stores = [{ ...WELL, powerCut: { ...WELL.powerCut, boundMs } }];
  const found = findingsOf({ ...PROCESS, stores }).find(({ code }) => code === 'power-cut-bound');
  expect(found?.level).toBe(level);
});

test('raises what is cut off, with its name', () => {
  const lines = [{ name: 'L1', isConnected: false, lastError: 'refused', doing: 'active' as const }];
  const cutOff = { ...PROCESS, hasKernel: false, lines };
  expect(raised(cutOff)).toEqual(['kernel-unreachable KomA', 'line-down KomA L1']);
  expect(findingsOf(cutOff).at(-1)?.text).toBe('line L1 of KomA is not connected: refused');
});

test('a Kernel that takes nothing is told, with what waits', () => {
  const waiting = { ...PROCESS, unansweredSamples: 7 };
  expect(raised(waiting)).toEqual(['kernel-acknowledges-nothing KomA']);
  expect(findingsOf(waiting).find(({ level }) => level === 'raise')?.text).toContain('7 samples wait');
});

test('a clock that nothing vouches for, or that is off the Kernel, is told', () => {
  expect(raised({ ...PROCESS, isClockUncertain: true })).toEqual([
    expect.stringContaining('clock-uncertain'),
  ]);
  expect(raised({ ...PROCESS, kernelAheadUs: -1_200_000 })).toEqual([expect.stringContaining('clock-off')]);
  expect(raised({ ...PROCESS, kernelAheadUs: 700_000 })).toEqual([]);
});
