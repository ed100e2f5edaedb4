import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { ModbusLine } from '../../src/config/model.ts';
import { isKomError } from '../../src/domain/errors.ts';
import { Quality } from '../../src/domain/quality.ts';
import type { Reading, SampleValue } from '../../src/domain/sample.ts';
import type { LinkBatch } from '../../src/drivers/driver.ts';
import { createModbusDriver } from '../../src/drivers/modbus/driver.ts';
import { everyKindOfTag, modbusLine, modbusStation, modbusTag } from '../../src/drivers/modbus/testing.ts';
import { crc16, rtuReader, tcpReader } from '../../src/sim/modbus/framing.ts';
import { type ModbusSimulatorOptions, simulateModbusLine } from '../../src/sim/modbus/simulator.ts';
import type { ServedValue } from '../../src/sim/record.ts';
import { silentLog } from '../../src/world/log.ts';
import { createClock } from '../../src/world/real/clock.ts';
import type { Address } from '../../src/world/transport.ts';

const clock = createClock();
const world = { clock, log: silentLog };
const never = new AbortController().signal;
const cleanups: (() => PromiseLike<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function simulate(line: ModbusLine, options: Partial<ModbusSimulatorOptions> = {}) {
  const served: ServedValue[] = [];
  const recorder = { served: (value: ServedValue) => void served.push(value) };
  const listen = { host: '127.0.0.1', port: 0 };
  const simulator = await simulateModbusLine(line, { clock, seed: 7, recorder, listen, ...options });
  cleanups.push(() => simulator[Symbol.asyncDispose]());
  if (simulator.address === null) throw new Error('no address');
  return { simulator, served, line: at(line, simulator.address) };
}

function at(line: ModbusLine, address: Address): ModbusLine {
  if (line.channel.kind === 'rtu') throw new Error('a TCP line is needed');
  return { ...line, channel: { kind: line.channel.kind, address } };
}

/** Polls for `ms`, or until `enough` says so. */
async function poll(line: ModbusLine, ms: number, enough: (batch: LinkBatch) => boolean = () => false) {
  const link = await createModbusDriver(line, world).connect(never);
  const batches: LinkBatch[] = [];
  const timer = clock.schedule('enough', ms, () => void link[Symbol.asyncDispose]());
  for await (const batch of link) {
    batches.push(batch);
    if (enough(batch)) break;
  }
  timer.cancel();
  await link[Symbol.asyncDispose]();
  return batches;
}

function readings(batches: readonly LinkBatch[]): Reading[] {
  return batches.flatMap((batch) => batch.readings);
}

/** Per tag the values in order, without repetitions. */
function changes(values: readonly { readonly tag: string; readonly value: SampleValue }[]) {
  const byTag = new Map<string, SampleValue[]>();
  for (const { tag, value } of values) {
    const list = byTag.get(tag) ?? [];
    if (list.length === 0 || !Object.is(list.at(-1), value)) list.push(value);
    byTag.set(tag, list);
  }
  return byTag;
}

function named(line: ModbusLine, all: readonly Reading[]) {
  const names = new Map(line.stations.flatMap((s) => s.tags).map((tag) => [tag.index, tag.name]));
  return all.map((reading) => ({ tag: names.get(reading.tagIndex) ?? '?', value: reading.value }));
}

describe.each(['tcp', 'rtu-over-tcp'] as const)('Modbus over %s', (kind) => {
  const channel = { kind, address: { host: '127.0.0.1', port: 0 } };

  it('brings every value of every type and order exactly as the simulator served it', async () => {
    const tags = everyKindOfTag();
    const { served, line } = await simulate(
      modbusLine({ channel, stations: [modbusStation({ tags, maxRegistersPerRequest: 30, maxGap: 4 })] }),
    );
    const batches = await poll(line, 1000);
    const all = readings(batches);
    expect(all.every((reading) => reading.quality === Quality.good)).toBe(true);
    const read = named(line, all);
    expect(new Set(read.map((each) => each.tag)).size).toBe(tags.length);
    const asServed = changes(served);
    for (const [tag, values] of changes(read)) {
      // The last answer may still be on its way when polling stops.
      expect(asServed.get(tag)?.slice(0, values.length)).toEqual(values);
    }
    const kinds = new Set(read.map((each) => typeof each.value));
    expect([...kinds].sort()).toEqual(['bigint', 'boolean', 'number', 'string']);
    expect([...changes(read).values()].filter((values) => values.length > 2).length).toBeGreaterThan(100);
    for (const reading of all)
      expect(Math.abs(reading.sourceTimeUs - clock.wallUs())).toBeLessThan(10_000_000);
  });

  it('does not let a dead unit stall the others', async () => {
    const stations = [0, 1, 2, 3].map((n) =>
      modbusStation({
        name: `P${n}`,
        unit: n + 1,
        tags: [modbusTag({ index: n, name: `P${n}.v`, class: 'counter', scanMs: 20 })],
      }),
    );
    const settings = { channel, stations, responseTimeoutMs: 60, probeIntervalMs: 400 };
    const { simulator, line } = await simulate(modbusLine(settings));
    const whole = await poll(line, 2000);
    simulator.unplug('P1', true);
    const broken = await poll(line, 2000);
    // The unit is found dead in the first half second; after it a probe takes 60 of 400 ms.
    const count = (batches: readonly LinkBatch[], name: string): number => {
      const all = readings(batches.filter((batch) => batch.station === name));
      const startUs = readings(batches)[0]?.sourceTimeUs ?? 0;
      return all.filter((reading) => reading.sourceTimeUs > startUs + 500_000).length;
    };
    for (const name of ['P0', 'P2', 'P3']) {
      expect(count(whole, name)).toBeGreaterThan(50);
      expect(count(broken, name) / count(whole, name)).toBeGreaterThan(0.75);
    }
    const dead = broken.filter((batch) => batch.station === 'P1');
    expect(dead.flatMap((b) => b.readings).every((r) => r.value === null && r.quality >= 2 ** 31)).toBe(true);
    expect(readings(dead).at(0)?.quality).toBe(Quality.badTimeout);
    expect(readings(dead).at(-1)?.quality).toBe(Quality.badNoCommunication);
  });

  it('restores a unit that answers again', async () => {
    const stations = [modbusStation({ tags: [modbusTag({ scanMs: 50 })] })];
    const { simulator, line } = await simulate(
      modbusLine({ channel, stations, responseTimeoutMs: 100, probeIntervalMs: 300 }),
    );
    simulator.unplug('P1', true);
    let goodAgain = 0;
    const batches = await poll(line, 5000, (batch) => {
      const quality = batch.readings[0]?.quality;
      if (quality === Quality.badNoCommunication) simulator.unplug('P1', false);
      if (quality === Quality.good) goodAgain++;
      return goodAgain > 5;
    });
    expect(goodAgain).toBe(6);
    expect(batches.length).toBeLessThan(15);
  });

  it('splits a merged request around addresses that the device does not have', async () => {
    const tags = Array.from({ length: 20 }, (_, n) => modbusTag({ index: n, name: `t${n}`, address: n }));
    const { simulator, line } = await simulate(modbusLine({ channel, stations: [modbusStation({ tags })] }));
    simulator.setFault('P1', { illegal: [{ table: 'holding-register', first: 7, last: 8 }] });
    const all = readings(await poll(line, 700)).slice(-60);
    const bad = new Set(all.filter((r) => r.quality !== Quality.good).map((r) => r.tagIndex));
    expect([...bad].sort()).toEqual([7, 8]);
    const ofBad = all.filter((r) => bad.has(r.tagIndex));
    expect(ofBad.every((r) => r.quality === Quality.badConfigurationError)).toBe(true);
    const good = new Set(all.filter((r) => r.quality === Quality.good).map((r) => r.tagIndex));
    expect(good.size).toBe(18);
  });

  it.each([
    [0x01, Quality.badNotSupported],
    [0x02, Quality.badConfigurationError],
    [0x04, Quality.badDeviceFailure],
    [0x06, Quality.badResourceUnavailable],
    [0x0b, Quality.badNoCommunication],
  ])('shows exception %i as quality %i', async (exception, quality) => {
    const stations = [modbusStation({ tags: [modbusTag()] })];
    const { line } = await simulate(modbusLine({ channel, stations }), { faults: { P1: { exception } } });
    const [batch] = await poll(line, 2000, () => true);
    expect(batch?.readings).toMatchObject([{ tagIndex: 0, value: null, quality }]);
  });

  it('throws when the connection breaks, and connects anew', async () => {
    const stations = [modbusStation({ tags: [modbusTag({ scanMs: 20 })] })];
    const { simulator, line } = await simulate(modbusLine({ channel, stations }));
    let got = 0;
    let cutAtMs = 0;
    const lost = await poll(line, 5000, () => {
      if (++got === 5) {
        cutAtMs = clock.monotonicMs();
        void simulator[Symbol.asyncDispose]();
      }
      return false;
    }).catch((error: unknown) => error);
    // Well before the silence of every unit (over several probes) would tell the same.
    expect(clock.monotonicMs() - cutAtMs).toBeLessThan(1000);
    expect(isKomError(lost, 'KOM_DEVICE_UNREACHABLE')).toBe(true);
    const refused = await createModbusDriver(line, world)
      .connect(never)
      .catch((error: unknown) => error);
    expect(isKomError(refused, 'KOM_DEVICE_UNREACHABLE')).toBe(true);
    if (line.channel.kind === 'rtu') throw new Error('a TCP line is needed');
    await simulate(line, { listen: line.channel.address });
    const again = await poll(line, 2000, () => true);
    expect(readings(again)[0]?.quality).toBe(Quality.good);
  });

  it('pauses when nobody pulls and declares what it did not see', async () => {
    const tags = [modbusTag({ scanMs: 2 })];
    const { served, line } = await simulate(modbusLine({ channel, stations: [modbusStation({ tags })] }));
    const link = await createModbusDriver(line, world).connect(never);
    cleanups.push(() => link[Symbol.asyncDispose]());
    const iterator = link[Symbol.asyncIterator]();
    await iterator.next();
    await clock.sleep(2500);
    const paused = served.length;
    expect(paused).toBeLessThanOrEqual(260);
    await clock.sleep(300);
    expect(served.length).toBe(paused);
    const batches: LinkBatch[] = [];
    while (batches.length < 300) {
      const { value } = await iterator.next();
      if (value !== undefined) batches.push(value);
    }
    const unseen = batches.flatMap((batch) => batch.unseen ?? []);
    expect(unseen).toHaveLength(1);
    const times = readings(batches).map((reading) => reading.sourceTimeUs);
    const widest = times
      .map((time, n) => [times[n - 1] ?? time, time])
      .sort((a, b) => width(b) - width(a))[0];
    expect(unseen[0]).toEqual({
      tagIndexes: [0],
      fromUs: widest?.[0],
      toUs: widest?.[1],
      reason: 'overload',
    });
    expect(width(widest ?? [])).toBeGreaterThan(300_000);
  });

  it('declares the time in which the whole process stood still', async () => {
    const tags = [modbusTag({ scanMs: 20 }), modbusTag({ index: 1, address: 200, scanMs: 10_000 })];
    const { line } = await simulate(modbusLine({ channel, stations: [modbusStation({ tags })] }));
    let stoodStill = { fromUs: 0, toUs: 0 };
    const batches = await poll(line, 2000, () => {
      if (stoodStill.fromUs > 0) return false;
      stoodStill = { fromUs: clock.wallUs(), toUs: clock.wallUs() + 1_500_000 };
      while (clock.wallUs() < stoodStill.toUs);
      return false;
    });
    const unseen = batches.flatMap((batch) => batch.unseen ?? []);
    expect(unseen).toMatchObject([{ tagIndexes: [0], reason: 'overload' }]);
    expect(unseen[0]?.fromUs).toBeLessThanOrEqual(stoodStill.fromUs);
    expect(unseen[0]?.toUs).toBeGreaterThanOrEqual(stoodStill.toUs);
  });
});

function width([from = 0, to = 0]: readonly number[]): number {
  return to - from;
}

/**
 * A device that answers in order. Its n-th request is answered with the value n; request number 1 after
 * `delayMs`, and nothing after it sooner than that; or, with `heldUntil`, just before that later request.
 */
async function lateDevice(
  kind: 'tcp' | 'rtu-over-tcp',
  { delayMs = 0, heldUntil = 0 }: { delayMs?: number; heldUntil?: number },
): Promise<Address> {
  const server: Server = createServer((socket) => {
    let count = 0;
    let answered: Promise<void> = Promise.resolve();
    let held: Buffer | null = null;
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      const n = count++;
      const registers = bytes.readUInt16BE(kind === 'tcp' ? 10 : 4);
      const data = Buffer.alloc(2 * registers);
      for (let each = 0; each < registers; each++) data.writeUInt16BE(n, 2 * each);
      const body = Buffer.concat([Buffer.of(1, 3, data.length), data]);
      const header = Buffer.from(bytes.subarray(0, 6));
      header.writeUInt16BE(body.length, 4);
      const crc = Buffer.alloc(2);
      crc.writeUInt16LE(crc16(body));
      const answer = kind === 'tcp' ? Buffer.concat([header, body]) : Buffer.concat([body, crc]);
      if (heldUntil > 0 && n === 1) {
        held = answer;
        return;
      }
      if (n === heldUntil && held !== null) socket.write(held);
      answered = answered
        .then(() => (n === 1 ? clock.sleep(delayMs) : undefined))
        .then(() => void (socket.writable && socket.write(answer)));
    });
  });
  return listen(server);
}

async function listen(server: Server): Promise<Address> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('no port');
  return { host: '127.0.0.1', port: bound.port };
}

describe('late answers', () => {
  const cases = [1, 4].flatMap((count) => [130, 420].map((delayMs) => ({ count, delayMs })));

  it.each(['tcp', 'rtu-over-tcp'] as const)('are not taken for a later answer (%s)', async (kind) => {
    await Promise.all(cases.map((each) => checkLateAnswer(kind, each)));
  });
});

async function checkLateAnswer(
  kind: 'tcp' | 'rtu-over-tcp',
  { count, delayMs }: { readonly count: number; readonly delayMs: number },
): Promise<void> {
  const name = `${count} registers, ${delayMs} ms`;
  const address = await lateDevice(kind, { delayMs });
  const tags = Array.from({ length: count }, (_, n) => modbusTag({ index: n, address: n, scanMs: 60 }));
  const line = modbusLine({
    channel: { kind, address },
    stations: [modbusStation({ tags })],
    responseTimeoutMs: 100,
    degradeAfterCycles: 1000,
  });
  const batches = await poll(line, 1500);
  const good = readings(batches).filter((r) => r.quality === Quality.good && r.tagIndex === 0);
  expect(good.length, name).toBeGreaterThan(5);
  const values = good.map((reading) => Number(reading.value));
  // Value 1 came after its time-out: nothing may carry it; each later one is its own request's.
  expect(values, name).not.toContain(1);
  expect(values, name).toEqual([...new Set(values)].sort((a, b) => a - b));
  expect(values.at(-1), name).toBeGreaterThanOrEqual(values.length);
}

describe('transaction numbers', () => {
  it.each([255, 256, 257, 258])(
    'are not used again so soon that an answer %i requests late counts',
    async (n) => {
      const address = await lateDevice('tcp', { heldUntil: n });
      const line = modbusLine({
        channel: { kind: 'tcp', address },
        stations: [modbusStation({ tags: [modbusTag({ scanMs: 1 })] })],
        responseTimeoutMs: 100,
        retries: 0,
      });
      let count = 0;
      const all = readings(await poll(line, 10_000, () => ++count > n + 10));
      const values = all.filter((r) => r.quality === Quality.good).map((reading) => Number(reading.value));
      expect(values).toEqual([0, ...Array.from({ length: values.length - 1 }, (_, each) => each + 2)]);
      expect(values.at(-1)).toBeGreaterThan(n);
    },
  );
});

describe('what goes over the wire', () => {
  it.each(['tcp', 'rtu-over-tcp'] as const)('is reads alone (%s)', async (kind) => {
    const codes = new Set<number>();
    const server = createServer((socket) => {
      const reader = kind === 'tcp' ? tcpReader() : rtuReader();
      socket.on('error', () => {});
      socket.on('data', (bytes) => {
        for (const { pdu, wrap } of reader.push(bytes)) {
          codes.add(pdu[0] ?? 0);
          // Exceptions and silence make the driver try all that it has.
          if (codes.size % 2 === 0) socket.write(wrap(Uint8Array.of((pdu[0] ?? 0) | 0x80, 2)));
        }
      });
    });
    const address = await listen(server);
    const stations = [modbusStation({ tags: everyKindOfTag() })];
    const line = modbusLine({ channel: { kind, address }, stations, responseTimeoutMs: 30 });
    const error = await poll(line, 1000).catch((reason: unknown) => reason);
    if (!Array.isArray(error)) expect(isKomError(error, 'KOM_DEVICE_UNREACHABLE')).toBe(true);
    expect([...codes].sort()).toEqual([1, 2, 3, 4]);
  });
});

describe('connecting', () => {
  it('honours abort', async () => {
    const { line } = await simulate(modbusLine({ stations: [modbusStation({ tags: [modbusTag()] })] }));
    const connecting = createModbusDriver(line, world).connect(AbortSignal.abort(new Error('stopped')));
    await expect(connecting).rejects.toThrow('stopped');
    const abort = new AbortController();
    const opening = createModbusDriver(line, world).connect(abort.signal);
    abort.abort(new Error('stopped while connecting'));
    await expect(opening).rejects.toThrow('stopped while connecting');
  });

  it('says which serial port is missing', async () => {
    const channel = {
      kind: 'rtu',
      device: '/dev/no-such-port',
      baudRate: 9600,
      parity: 'even',
      dataBits: 8,
      stopBits: 1,
    } as const;
    const error = await createModbusDriver(modbusLine({ channel }), world)
      .connect(never)
      .catch((reason: unknown) => reason);
    expect(isKomError(error, 'KOM_DEVICE_UNREACHABLE')).toBe(true);
    expect(String(error)).toContain('/dev/no-such-port');
  });
});
