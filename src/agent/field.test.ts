import { describe, expect, it } from 'vitest';
import type { BufferSettings, LineFailover, ModbusLine, Process } from '../config/model.ts';
import { UNSAID } from '../config/redundancy.fixture.ts';
import { WIRED } from '../config/uplink.fixture.ts';
import { ReportByException } from '../domain/report-by-exception.ts';
import { type Entry, isTimeGap } from '../domain/sample.ts';
import type { ConnectOptions, Driver, LinkBatch, LinkRole } from '../drivers/driver.ts';
import { modbusLine, modbusStation, modbusTag } from '../drivers/modbus/testing.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { Field } from './field.ts';
import { tagsOf } from './open-stores.ts';

const BUFFER: BufferSettings = {
  ...{
    store: 'on-outage',
    capacityBytes: 1e6,
    freeDiskFloorBytes: 0,
    alarmShare: 0,
    whenFull: 'drop-oldest',
  },
  ...{ powerCutLossMaxMs: 1000, blockAgeMs: 250, spillAgeMs: 500, aliveMarkMs: 5000, windowBytes: 1e6 },
};
const SCAN_MS = 100;
const MARK_MS = 30;

function lineOf(name: string, index: number, failover: Partial<LineFailover>): ModbusLine {
  const tags = [modbusTag({ index, name: `${name}.v`, scanMs: SCAN_MS })];
  const stations = [modbusStation({ name, tags })];
  const base = modbusLine({ name, stations });
  return { ...base, failover: { ...base.failover, ...failover } };
}

/** One driver for all lines: its value is the tenth of a second since the start. */
class Devices {
  readonly log: string[] = [];
  readonly options: ConnectOptions[] = [];
  readonly down = new Set<string>();
  polls = 0;
  readonly #clock: SimulatedClock;

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  driver(line: ModbusLine, given: { monotonicMs(): number; wallUs(): number }): Driver {
    return {
      connect: async (signal, options = {}) => {
        if (this.down.has(line.name)) throw new Error('nobody there');
        this.log.push(`${line.name} opened as ${options.role}`);
        this.options.push(options);
        let role: LinkRole = options.role ?? 'active';
        const { log } = this;
        const poll = async (): Promise<LinkBatch | null> => {
          await this.#clock.sleep(SCAN_MS, signal);
          given.monotonicMs();
          if (signal.aborted || role === 'standby') return null;
          this.polls += 1;
          const sourceTimeUs = given.wallUs();
          const value = Math.round(this.#clock.monotonicMs() / 100);
          const tagIndex = line.stations[0]?.tags[0]?.index ?? 0;
          return { station: line.name, readings: [{ tagIndex, sourceTimeUs, value, quality: 0 }] };
        };
        const failed = (): boolean => this.down.has(line.name);
        return {
          async *[Symbol.asyncIterator]() {
            while (!signal.aborted) {
              const batch = await poll().catch(() => null);
              if (failed()) throw new Error('gone');
              if (batch !== null) yield batch;
            }
          },
          async setRole(to: LinkRole) {
            role = to;
            log.push(`${line.name} is ${to}`);
          },
          async [Symbol.asyncDispose]() {
            log.push(`${line.name} closed`);
          },
        };
      },
    };
  }
}

async function world(lines: readonly ModbusLine[], { servers = ['A', 'B'], check = () => {} } = {}) {
  const clock = new SimulatedClock();
  const devices = new Devices(clock);
  const entries: Entry[] = [];
  const stores: string[] = [];
  const process: Process = {
    ...{ name: 'KomA', servers, buffer: BUFFER, uplink: WIRED, redundancy: UNSAID, lines },
  };
  const report = new ReportByException(tagsOf(process), null);
  const startUs = clock.wallUs();
  const stored = (what: string) => async (): Promise<void> => {
    stores.push(`${what} asked`);
    await clock.sleep(MARK_MS);
    stores.push(what);
  };
  const field = new Field({
    process,
    report,
    stores: { activate: stored('active'), standBy: stored('standby') },
    createDriver: async (line, given) => {
      if (line.driver !== 'modbus') throw new Error('a Modbus line is needed');
      return devices.driver(line, given);
    },
    accept: (accepted) => {
      if (accepted.length > 0 && stores.at(-1) !== 'active' && servers.length > 1)
        stores.push(`numbered after ${stores.at(-1)}`);
      entries.push(...accepted);
    },
    presentOf: (batch) => batch,
    now: () => ({ wallUs: clock.wallUs(), monotonicMs: clock.monotonicMs() }),
    check: () => check(),
    clock,
    random: createSimulatedRandom(1),
    log: silentLog,
  });
  const told = (): string[] =>
    entries.splice(0).map((entry) => {
      const ms = (us: number): number => Math.round((us - startUs) / 1000);
      return isTimeGap(entry)
        ? `gap ${entry.reason} ${entry.station} ${ms(entry.fromUs)}-${ms(entry.toUs)}`
        : `${entry.tagIndex}=${entry.value} ${entry.cause} @${ms(entry.sourceTimeUs)}`;
    });
  return { clock, devices, field, told, stores, startUs };
}

async function standingBy(failover: Partial<LineFailover>, options: Parameters<typeof world>[1] = {}) {
  const made = await world([lineOf('P', 0, failover)], options);
  const started = made.field.start(made.startUs);
  await made.clock.advance(MARK_MS);
  await started;
  made.stores.length = 0;
  return made;
}

describe('the field of a process that one server runs', () => {
  it('observes and numbers from its start, and asks no bus first', async () => {
    const { clock, field, told, devices } = await world([lineOf('P', 0, { isExclusive: true })], {
      servers: ['A'],
    });
    await field.start();
    await clock.advance(250);
    expect(told()).toEqual(['0=1 snapshot @100', '0=2 change @200']);
    expect(devices.options).toEqual([{ role: 'active' }]);
    field.isolated(true);
    const stopped = field.stop();
    await clock.advance(200);
    await stopped;
    expect(devices.log.at(-1)).toBe('P closed');
  });
});

describe('the field of a standby', () => {
  it('opens a cold line when it is active, at once; the gap ends at the first poll', async () => {
    const { clock, field, told, devices, stores } = await standingBy({ standby: 'cold' });
    await clock.advance(970);
    expect(devices.log).toEqual([]);
    expect(field.observedUntilUs).not.toBeNull();
    field.activate({});
    await clock.advance(250);
    expect(told()).toEqual(['gap takeover P 0-1100', '0=11 snapshot @1100', '0=12 change @1200']);
    expect(stores).toEqual(['active asked', 'active']);
    expect(field.observedUntilUs).toBeNull();
    expect(field.observedAgeUs).toEqual({ P: 50_000 });
    expect(field.stationCounts).toEqual({ stations: 1, stationsAnswering: 1 });
    devices.down.add('P');
    await clock.advance(200);
    expect(field.stationCounts).toEqual({ stations: 1, stationsAnswering: 0 });
  });

  it('opens a warm line to wait, and changes its role in place', async () => {
    const { clock, field, told, devices } = await standingBy({ standby: 'warm' });
    await clock.advance(970);
    field.activate({});
    await clock.advance(250);
    const standing = field.standBy();
    await clock.advance(300);
    await standing;
    expect(devices.log).toEqual(['P opened as standby', 'P is active', 'P is standby']);
    expect(devices.options[0]).toMatchObject({ role: 'standby', failoverMs: 3000 });
    expect(told().map((each) => each.split(' ')[0])).toEqual(['gap', '0=10', '0=11', '0=12']);
  });

  it('tells of a hot line what it observed since the other one did not, less two scans', async () => {
    const { clock, field, told, devices } = await standingBy({ standby: 'hot' });
    await clock.advance(1970);
    expect(told()).toEqual([]);
    field.activate({ P: 450_000 });
    await clock.advance(150);
    // The last observation of the other: 1550; two scans of 100 before that.
    const values = told();
    expect(values.slice(0, 3)).toEqual(['gap takeover P 0-1430', '0=14 snapshot @1430', '0=15 change @1530']);
    expect(values.at(-1)).toBe('0=21 snapshot @2130');
    expect(devices.log).toEqual(['P opened as active']);
  });

  it('keeps of a hot line what a takeover may take, and tells it all where nothing is known', async () => {
    const { clock, field, told } = await standingBy({ standby: 'hot' });
    await clock.advance(9970);
    field.activate({});
    await clock.advance(MARK_MS + 1);
    const values = told();
    expect(values[0]).toMatch(/^gap takeover P 0-69\d\d|^gap takeover P 0-70\d\d/);
    expect(values.length).toBeGreaterThan(29);
    expect(values.length).toBeLessThan(34);
  });

  it('keeps nothing of a hot line that is lost: of the time after it that says nothing', async () => {
    const { clock, field, told, devices } = await standingBy({ standby: 'hot' });
    await clock.advance(970);
    devices.down.add('P');
    await clock.advance(1000);
    field.activate({ P: 1_500_000 });
    await clock.advance(500);
    devices.down.delete('P');
    await clock.advance(10_000);
    const values = told();
    const good = values.filter((each) => /^0=\d/.test(each));
    expect(Number(good[0]?.split('@')[1])).toBeGreaterThan(2470);
    expect(values.filter((each) => each.startsWith('gap')).at(-1)).toMatch(/-(2[5-9]|[3-9]\d|1\d\d)\d\d$/);
  });

  it('numbers nothing before its stores are active, nor after it stands by', async () => {
    const { clock, field, told, stores, devices } = await standingBy({ standby: 'hot' });
    await clock.advance(500);
    field.activate({ P: 0 });
    await clock.advance(MARK_MS / 2);
    expect(told()).toEqual([]);
    const standing = field.standBy();
    await clock.advance(500);
    await standing;
    expect(told(), 'it changed its mind').toEqual([]);
    expect(stores).toEqual(['active asked', 'active', 'standby asked', 'standby']);
    field.activate({ P: 0 });
    await clock.advance(500);
    expect(told().length).toBeGreaterThan(3);
    expect(stores.filter((each) => each.startsWith('numbered'))).toEqual([]);
    expect(devices.log).toEqual(['P opened as active']);
  });

  it('does not wait for the next try of a line when it becomes active', async () => {
    const { clock, field, told, devices } = await standingBy({ standby: 'hot' });
    devices.down.add('P');
    await clock.advance(20_000);
    devices.down.delete('P');
    field.activate({});
    await clock.advance(150);
    expect(told().at(-1)).toMatch(/^0=\d+ snapshot/);
  });
});

describe('a field that is suspended', () => {
  it('takes and asks nothing from that call on, and declares the time when it goes on', async () => {
    const { clock, field, told, devices } = await standingBy({ standby: 'cold' });
    field.activate({});
    await clock.advance(350);
    told();
    const { polls } = devices;
    field.suspend();
    await clock.advance(1000);
    expect([told(), devices.polls]).toEqual([[], polls]);
    expect(field.observedUntilUs).not.toBeNull();
    field.activate({});
    await clock.advance(250);
    expect(told()[0]).toMatch(/^gap takeover P 3\d\d-14\d\d$/);
  });

  it('is so before anything of a line that wakes from a stall', async () => {
    let isStalled = false;
    const made = await standingBy(
      { standby: 'cold' },
      { check: () => (isStalled ? made.field.suspend() : undefined) },
    );
    const { clock, field, told, devices } = made;
    field.activate({});
    await clock.advance(350);
    told();
    const { polls } = devices;
    isStalled = true;
    await clock.advance(1000);
    expect([told(), devices.polls], 'the poll that was due did not happen').toEqual([[], polls]);
    expect(devices.log.at(-1)).toBe('P closed');
  });
});

describe('an exclusive line', () => {
  it('is listened to before it is taken over, and released while the instance is isolated', async () => {
    const { clock, field, told, devices } = await standingBy({ standby: 'cold', isExclusive: true });
    field.activate({});
    await clock.advance(350);
    expect(devices.options).toEqual([{ role: 'active', failoverMs: 3000, listenFirst: true }]);
    told();
    field.isolated(true);
    expect(told().at(-1)).toMatch(/^0=null change/);
    await clock.advance(1000);
    expect(devices.log).toEqual(['P opened as active', 'P closed']);
    field.isolated(false);
    await clock.advance(250);
    expect(devices.options[1]).toMatchObject({ listenFirst: true });
    expect(told()[0]).toMatch(/^gap station-down P/);
  });

  it('goes on where the file says so, and so does a line that others may use', async () => {
    const made = await world([
      lineOf('P', 0, { isExclusive: true, onIsolation: 'keep' }),
      lineOf('Q', 1, { isExclusive: false }),
    ]);
    const started = made.field.start(made.startUs);
    await made.clock.advance(MARK_MS);
    await started;
    made.field.activate({});
    await made.clock.advance(350);
    made.field.isolated(true);
    await made.clock.advance(1000);
    expect(made.devices.log).toEqual(['P opened as active', 'Q opened as active']);
  });

  it('listens only once: a lost connection is opened anew as ever', async () => {
    const { clock, field, devices } = await standingBy({ standby: 'cold', isExclusive: true });
    field.activate({});
    await clock.advance(350);
    devices.down.add('P');
    await clock.advance(150);
    devices.down.delete('P');
    await clock.advance(3000);
    expect(devices.options).toHaveLength(2);
    expect(devices.options[1]).not.toHaveProperty('listenFirst');
  });
});

describe('a station that is switched while another instance is active', () => {
  it('is so when this one is', async () => {
    const { clock, field, told } = await standingBy({ standby: 'hot' });
    const switched = field.switchStation('P', 'off');
    await clock.advance(300);
    expect(await switched).toBe(true);
    expect(told()).toEqual([]);
    field.activate({});
    await clock.advance(100);
    expect(told().some((each) => each.startsWith('0=null snapshot'))).toBe(true);
  });
});
