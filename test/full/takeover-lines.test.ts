import { DataType } from 'node-opcua';
import { afterEach, expect, test } from 'vitest';
import { Field } from '../../src/agent/field.ts';
import { tagsOf } from '../../src/agent/open-stores.ts';
import type { Line, Process } from '../../src/config/model.ts';
import { UNSAID } from '../../src/config/redundancy.fixture.ts';
import { WIRED } from '../../src/config/uplink.fixture.ts';
import { ReportByException } from '../../src/domain/report-by-exception.ts';
import { isTimeGap, type Sample, type TimeGap } from '../../src/domain/sample.ts';
import { createDriver } from '../../src/drivers/create.ts';
import { modbusLine, modbusStation, modbusTag } from '../../src/drivers/modbus/testing.ts';
import { simulateModbusLine } from '../../src/sim/modbus/simulator.ts';
import type { ServedValue } from '../../src/sim/record.ts';
import { silentLog } from '../../src/world/log.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { createRandom } from '../../src/world/real/random.ts';
import { opcuaLine, opcuaTag, sleep, temporaryDirectory, until } from '../integration/opcua-fixtures.ts';
import { bareServer } from '../integration/opcua-server.ts';

/** Lines when the active instance dies and the standby takes over, with the protocols of real devices. */
const clock = createClock();
const world = { clock, log: silentLog };
const cleanups: (() => PromiseLike<unknown>)[] = [];
/** From the death until the standby knows of it. */
const DETECTION_MS = 1200;

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Member {
  readonly field: Field;
  readonly samples: Sample[];
  readonly gaps: TimeGap[];
}

function member(line: Line): Member {
  const process: Process = {
    ...{ name: 'KomA', servers: ['A', 'B'], uplink: WIRED, redundancy: UNSAID, lines: [line] },
    buffer: {
      ...{ store: 'on-outage', capacityBytes: 1e6, freeDiskFloorBytes: 0, alarmShare: 0 },
      ...{ whenFull: 'drop-oldest', powerCutLossMaxMs: 1000, blockAgeMs: 250, spillAgeMs: 500 },
      ...{ aliveMarkMs: 5000, windowBytes: 1e6 },
    },
  };
  const samples: Sample[] = [];
  const gaps: TimeGap[] = [];
  const field = new Field({
    process,
    report: new ReportByException(tagsOf(process), null),
    stores: { activate: async () => {}, standBy: async () => {} },
    createDriver: (each) => createDriver(each, world),
    accept: (entries) => {
      for (const entry of entries) {
        if (isTimeGap(entry)) gaps.push(entry);
        else samples.push(entry);
      }
    },
    presentOf: (batch) => batch,
    now: () => ({ wallUs: clock.wallUs(), monotonicMs: clock.monotonicMs() }),
    clock,
    random: createRandom(),
    log: silentLog,
  });
  cleanups.push(() => field.stop());
  return { field, samples, gaps };
}

/** One observes until it dies; the other takes over when that is known. `meanwhile`: with nobody active. */
async function takeover(line: Line, meanwhile: () => Promise<void> = async () => {}) {
  const dead = member(line);
  const heir = member(line);
  await heir.field.start(clock.wallUs());
  await dead.field.start();
  await until(() => dead.samples.length > 0);
  await sleep(1000);
  await dead.field.stop();
  const diedUs = clock.wallUs();
  const diedMs = clock.monotonicMs();
  const agesUs = dead.field.observedAgeUs;
  await meanwhile();
  await sleep(Math.max(0, DETECTION_MS - (clock.monotonicMs() - diedMs)));
  const lateUs = (clock.monotonicMs() - diedMs) * 1000;
  const activeUs = clock.wallUs();
  heir.field.activate(Object.fromEntries(Object.entries(agesUs).map(([name, us]) => [name, us + lateUs])));
  await until(() => heir.gaps.length > 0);
  await sleep(1500);
  return { dead, heir, diedUs, activeUs };
}

async function modbus(standby: 'cold' | 'warm' | 'hot') {
  const tags = [
    modbusTag({ index: 0, name: 'P1.count', class: 'counter', scanMs: 100 }),
    modbusTag({ index: 1, name: 'P1.run', table: 'coil', rawType: 'bit', type: 'bool', scanMs: 100 }),
  ];
  const base = modbusLine({ stations: [modbusStation({ tags })] });
  const served: ServedValue[] = [];
  const recorder = { served: (value: ServedValue) => void served.push(value) };
  const simulator = await simulateModbusLine(base, { clock, seed: 7, recorder });
  cleanups.push(() => simulator[Symbol.asyncDispose]());
  const { address } = simulator;
  if (address === null) throw new Error('no address');
  const failover = { ...base.failover, standby };
  return { served, line: { ...base, failover, channel: { kind: 'tcp' as const, address } } };
}

/** The value of a tag that holds at the end is the one that the device served last. */
function expectPresent({ samples }: Member, served: readonly ServedValue[]): void {
  for (const [index, tag] of ['P1.count', 'P1.run'].entries()) {
    const last = samples.findLast(({ tagIndex }) => tagIndex === index);
    const recent = served.filter((each) => each.tag === tag).slice(-2);
    expect(
      recent.map(({ value }) => value),
      tag,
    ).toContainEqual(last?.value);
  }
}

test('hot: what the standby polled fills the hole up to the last observation of the dead one', async () => {
  const { line, served } = await modbus('hot');
  const { heir, diedUs } = await takeover(line);
  const ends = heir.gaps.map(({ toUs }) => toUs);
  expect(heir.gaps.every(({ reason }) => reason === 'takeover')).toBe(true);
  expect(Math.max(...ends)).toBeLessThan(diedUs);
  const times = heir.samples.filter(({ tagIndex }) => tagIndex === 0).map(({ sourceTimeUs }) => sourceTimeUs);
  expect(times.filter((us) => us > diedUs && us < diedUs + DETECTION_MS * 1000).length).toBeGreaterThan(0);
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  expectPresent(heir, served);
});

test.each(['cold', 'warm'] as const)(
  '%s: the hole ends with the first poll, and every value is right then',
  async (mode) => {
    const { line, served } = await modbus(mode);
    const { heir, activeUs } = await takeover(line);
    const end = Math.max(...heir.gaps.map(({ toUs }) => toUs));
    expect(end).toBeGreaterThan(activeUs);
    expect(end).toBeLessThan(activeUs + 1_000_000);
    const first = heir.samples.filter(({ sourceTimeUs }) => sourceTimeUs <= end);
    expect(first.map(({ tagIndex, cause }) => [tagIndex, cause]).toSorted()).toEqual([
      [0, 'snapshot'],
      [1, 'snapshot'],
    ]);
    expectPresent(heir, served);
  },
);

test('warm OPC UA: what changed with nobody active comes with its times, and there is no hole', async () => {
  await using directory = await temporaryDirectory();
  await using server = await bareServer(directory.path);
  const { Double } = DataType;
  const points = [0, 1].map((index) => server.variable(`V${index}`, { dataType: Double, value: index }));
  const tags = points.map((_, index) => opcuaTag(index, { nodeId: `ns=1;s=V${index}` }));
  const base = opcuaLine({ endpointUrl: server.endpointUrl, pkiDirectory: directory.path });
  const failover = { ...base.failover, standby: 'warm' as const };
  const line = { ...base, failover, stations: [{ name: 'S', mode: 'on' as const, tags }] };
  const set: number[] = [];
  const { heir, diedUs } = await takeover(line, async () => {
    for (const value of [10, 11]) {
      await sleep(300);
      set.push(clock.wallUs());
      points[0]?.setValueFromSource({ dataType: Double, value });
    }
  });
  await until(() => heir.samples.some(({ tagIndex, cause }) => tagIndex === 1 && cause === 'snapshot'));
  for (const { toUs, reason } of heir.gaps) {
    expect(reason).toBe('takeover');
    expect(toUs).toBeLessThan(diedUs);
  }
  for (const [at, value] of [10, 11].entries()) {
    const found = heir.samples.find((each) => each.tagIndex === 0 && each.value === value);
    expect(Math.abs((found?.sourceTimeUs ?? 0) - (set[at] ?? 0)), `value ${value}`).toBeLessThan(200_000);
  }
  expect(heir.samples.findLast(({ tagIndex }) => tagIndex === 0)?.value).toBe(11);
  expect(heir.samples.findLast(({ tagIndex }) => tagIndex === 1)?.value).toBe(1);
}, 30_000);
