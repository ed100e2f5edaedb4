import { describe, expect, it } from 'vitest';
import { resolveSite } from '../config/load.ts';
import type { ModbusLine, Site } from '../config/model.ts';
import { ASSUMPTIONS, flashYears, forecastSite, type PlanRequests, requestTimeMs } from './forecast.ts';

/** One request for each tag: planning itself is not what is tested here. */
const oneByOne: PlanRequests = ({ tags }) =>
  tags.map((tag) => ({ table: tag.table, address: tag.address, count: 2, scanMs: tag.scanMs, tags: [tag] }));

function siteOf(line: object, buffer: object = {}): Site {
  const raw = {
    site: 'Test',
    kernels: [],
    servers: { A: { instance: 1 }, B: { instance: 2 } },
    processes: { KomA: { servers: ['A'], buffer, lines: { line } } },
  };
  return resolveSite(raw, { directory: '/' }).site;
}

const FLOAT = { address: 0, type: 'float32' };
const modbus = (tags: object, more: object = {}, station: object = {}): object => ({
  driver: 'modbus-tcp',
  address: 'h',
  stations: { S: { tags, ...station } },
  ...more,
});

function rtuLine(settings: object): ModbusLine {
  const line = siteOf({ driver: 'modbus-rtu', device: '/dev/x', stations: {}, ...settings }).processes[0]
    ?.lines[0];
  if (line?.driver !== 'modbus') throw new Error('a Modbus line was expected');
  return line;
}

describe('time of a request', () => {
  it('on a serial port: characters, two silences and the turnaround', () => {
    const characterMs = 11_000 / 9600;
    const expected = (8 + 5 + 20) * characterMs + 2 * 3.5 * characterMs + ASSUMPTIONS.serialTurnaroundMs;
    expect(requestTimeMs(rtuLine({ baudRate: 9600 }), 'holding-register', 10)).toBeCloseTo(expected, 9);
  });

  it('has a silence of 1.75 ms above 19,200 Bd', () => {
    const line = rtuLine({ baudRate: 115_200, parity: 'none', stopBits: 1 });
    const expected = (8 + 5 + 2) * (10_000 / 115_200) + 3.5 + ASSUMPTIONS.serialTurnaroundMs;
    expect(requestTimeMs(line, 'coil', 9)).toBeCloseTo(expected, 9);
  });

  it('adds the pause between requests', () => {
    const without = requestTimeMs(rtuLine({}), 'coil', 1);
    expect(requestTimeMs(rtuLine({ requestGap: '20ms' }), 'coil', 1)).toBeCloseTo(without + 20, 9);
  });
});

describe('forecast', () => {
  it('sums load and samples of what is polled, and leaves out stations that are off', () => {
    const tags = { a: { ...FLOAT, scan: '100ms' }, b: { ...FLOAT, scan: '1s' } };
    const [process] = forecastSite(siteOf(modbus(tags)), oneByOne);
    expect(process?.lines[0]?.busLoad).toBeCloseTo(5 / 100 + 5 / 1000, 9);
    expect(process?.samplesPerSecond.most).toBeCloseTo(11, 9);
    expect(process?.samplesPerSecond.typical).toBeCloseTo(11 * ASSUMPTIONS.changedShareOfNumbers, 9);
    const [off] = forecastSite(siteOf(modbus(tags, {}, { mode: 'off' })), oneByOne);
    expect(off?.lines[0]?.busLoad).toBe(0);
    expect(off?.samplesPerSecond.most).toBe(0);
    expect(off?.store.outageHeldMs.most).toBe(Number.POSITIVE_INFINITY);
  });

  it('expects unchanged values at reportAtLeastEvery', () => {
    const tags = { a: { table: 'coil', address: 0, scan: '10s', reportAtLeastEvery: '20s' } };
    const [process] = forecastSite(siteOf(modbus(tags)), oneByOne);
    expect(process?.samplesPerSecond.typical).toBeCloseTo(0.05, 9);
  });

  /** Bytes of the ring that an outage fills, by what the samples a second are stored in. */
  const heldMs = (tags: object, buffer: object): number => {
    const [process] = forecastSite(siteOf(modbus(tags), { capacity: '100MB', ...buffer }), oneByOne);
    return process?.store.outageHeldMs.most ?? 0;
  };

  it('takes the blocks of sealed segments for joined where they are small', () => {
    // One sample a second is one block a second; segments have 8 MB, and one of them is written to.
    const [small, joined] = [
      ASSUMPTIONS.blockOverheadBytes + ASSUMPTIONS.sampleBytes,
      ASSUMPTIONS.joinedSampleBytes,
    ];
    const refuse = (8e6 / small + 92e6 / joined) * 1000;
    expect(heldMs({ a: FLOAT }, { whenFull: 'refuse-newest' })).toBeCloseTo(refuse, 3);
    const dropped = (8e6 / small) * 1000;
    expect(heldMs({ a: FLOAT }, { whenFull: 'drop-oldest' })).toBeCloseTo(refuse - dropped, 3);
    expect(refuse).toBeGreaterThan(50 * (100e6 / small) * 1000);
  });

  it('and for what they are where joining does not pay', () => {
    // With a block a minute, and 10,000 samples in it, there is nothing to join.
    const tags = Object.fromEntries(
      Array.from({ length: 500 }, (_, at) => [`t${at}`, { ...FLOAT, address: 2 * at, scan: '100ms' }]),
    );
    const bytesPerSecond = 5000 * ASSUMPTIONS.sampleBytes + 0.2 * ASSUMPTIONS.blockOverheadBytes;
    const slow = { powerCutLossMax: '60s' };
    expect(heldMs(tags, { ...slow, whenFull: 'refuse-newest' })).toBeCloseTo(
      (100e6 / bytesPerSecond) * 1000,
      3,
    );
    expect(heldMs(tags, { ...slow, whenFull: 'drop-oldest' })).toBeCloseTo((92e6 / bytesPerSecond) * 1000, 3);
  });

  it('writes alive marks alone while online, unless every block is stored', () => {
    const flash = (store: string) =>
      forecastSite(siteOf(modbus({ a: FLOAT }), { store }), oneByOne)[0]?.store.flashBytesPerDay;
    expect(flash('on-outage')?.online.most).toBe((86_400 / 5) * ASSUMPTIONS.syncBytes);
    expect(flash('always')?.online).toEqual(flash('always')?.outage);
    expect(flash('on-outage')?.outage).toEqual(flash('always')?.outage);
  });

  it.each([
    ['on-outage', '1s', 250 + 500 + 200],
    ['always', '1s', 250 + 200],
    ['on-outage', '10s', 1000 + 5000 + 200],
    ['on-outage', '60s', 5000 + 30_000 + 200],
  ])('%s with powerCutLossMax %s loses at most %i ms', (store, powerCutLossMax, boundMs) => {
    const [process] = forecastSite(siteOf(modbus({ a: FLOAT }), { store, powerCutLossMax }), oneByOne);
    expect(process?.powerCut.boundMs).toBe(boundMs);
    expect(boundMs).toBeLessThanOrEqual(process?.powerCut.configuredMs ?? 0);
  });

  it('compares every policy and marks that of the file', () => {
    const site = siteOf(modbus({ a: FLOAT }), { store: 'always', powerCutLossMax: '10s' });
    const [process] = forecastSite(site, oneByOne);
    expect(process?.policies.filter(({ isChosen }) => isChosen)).toEqual([
      {
        store: 'always',
        powerCutLossMax: '10s',
        boundMs: process?.powerCut.boundMs,
        flashBytesPerDay: process?.store.flashBytesPerDay,
        isChosen: true,
      },
    ]);
    expect(process?.policies.map(({ boundMs }) => boundMs)).toEqual([950, 6200, 35_200, 450, 1200, 5200]);
  });

  it('takes OPC UA tags by their sampling interval, without a load on the line', () => {
    const tags = { a: { nodeId: 'i=1', type: 'float64', sampling: '250ms' } };
    const line = { driver: 'opcua', endpoint: 'opc.tcp://h:1', stations: { S: { tags } } };
    const [process] = forecastSite(siteOf(line), oneByOne);
    expect(process?.samplesPerSecond.most).toBe(4);
    expect(process?.lines[0]?.busLoad).toBeNull();
  });

  it('leaves out processes of other servers', () => {
    expect(forecastSite(siteOf(modbus({ a: FLOAT })), oneByOne, 'A')).toHaveLength(1);
    expect(forecastSite(siteOf(modbus({ a: FLOAT })), oneByOne, 'B')).toHaveLength(0);
  });

  it('tells the years of a flash', () => {
    expect(flashYears(36.5e12, 1e10)).toBe(10);
  });
});
