import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { ModbusLine } from '../../src/config/model.ts';
import type { ConnectOptions, Link, LinkBatch } from '../../src/drivers/driver.ts';
import { createModbusDriver } from '../../src/drivers/modbus/driver.ts';
import { modbusLine, modbusStation, modbusTag } from '../../src/drivers/modbus/testing.ts';
import { crc16 } from '../../src/sim/modbus/framing.ts';
import { type ModbusSimulatorOptions, simulateModbusLine } from '../../src/sim/modbus/simulator.ts';
import type { ServedValue } from '../../src/sim/record.ts';
import { silentLog } from '../../src/world/log.ts';
import { createClock } from '../../src/world/real/clock.ts';

const clock = createClock();
const world = { clock, log: silentLog };
const never = new AbortController().signal;
const cleanups: (() => PromiseLike<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const STATIONS = [modbusStation({ tags: [modbusTag({ scanMs: 50, class: 'counter' })] })];

async function simulate(line: ModbusLine, options: Partial<ModbusSimulatorOptions> = {}) {
  const served: ServedValue[] = [];
  const recorder = { served: (value: ServedValue) => void served.push(value) };
  const listen = { host: '127.0.0.1', port: 0 };
  const simulator = await simulateModbusLine(line, { clock, seed: 7, recorder, listen, ...options });
  cleanups.push(() => simulator[Symbol.asyncDispose]());
  if (simulator.address === null) throw new Error('no address');
  return {
    simulator,
    served,
    line: { ...line, channel: { kind: 'tcp' as const, address: simulator.address } },
  };
}

async function connected(line: ModbusLine, options: ConnectOptions, signal = never) {
  const link = await createModbusDriver(line, world).connect(signal, options);
  const batches: LinkBatch[] = [];
  const ended = collect(link, batches).catch((error: unknown) => error);
  cleanups.push(() => link[Symbol.asyncDispose]());
  return { link, batches, ended };
}

async function collect(link: Link, into: LinkBatch[]): Promise<string> {
  for await (const batch of link) into.push(batch);
  return 'ended';
}

async function until(what: () => boolean, ms = 3000): Promise<void> {
  const endMs = clock.monotonicMs() + ms;
  while (!what()) {
    if (clock.monotonicMs() > endMs) throw new Error('it did not come to that');
    await clock.sleep(5);
  }
}

/** A read request of one register. */
function request(): Uint8Array {
  const body = Uint8Array.from([1, 3, 0, 0, 0, 1]);
  const check = crc16(body);
  return Uint8Array.from([...body, check & 0xff, check >> 8]);
}

describe('a Modbus line of a standby', () => {
  it('is open and asks nothing until it is active, and then at once', async () => {
    const slow = [
      modbusStation({ tags: [modbusTag({ scanMs: 60_000 }), modbusTag({ index: 1, scanMs: 50 })] }),
    ];
    const { served, line } = await simulate(modbusLine({ stations: slow }));
    const { link, batches } = await connected(line, { role: 'standby', failoverMs: 3000 });
    await clock.sleep(300);
    expect(served).toEqual([]);
    const startMs = clock.monotonicMs();
    await link.setRole?.('active');
    await until(
      () => new Set(batches.flatMap(({ readings }) => readings.map((each) => each.tagIndex))).size === 2,
    );
    expect(clock.monotonicMs() - startMs).toBeLessThan(500);
    await link.setRole?.('standby');
    await clock.sleep(100);
    const count = served.length;
    await clock.sleep(300);
    expect(served.length).toBe(count);
    batches.length = 0;
    await link.setRole?.('active');
    await until(() => batches.length > 3);
    expect(
      batches.flatMap(({ unseen }) => unseen ?? []),
      'the pause is not for the driver to tell',
    ).toEqual([]);
  });

  it('notices that its connection is gone though it asks nothing', async () => {
    const { simulator, line } = await simulate(modbusLine({ stations: STATIONS }));
    const { ended } = await connected(line, { role: 'standby' });
    await simulator[Symbol.asyncDispose]();
    expect(await ended).toMatchObject({ code: 'KOM_DEVICE_UNREACHABLE' });
  });

  it('asks nothing more from the moment at which it is given up', async () => {
    // Given up in the pause before a request.
    const { served, line } = await simulate(modbusLine({ stations: STATIONS, requestGapMs: 150 }));
    const stop = new AbortController();
    const { batches, ended } = await connected(line, {}, stop.signal);
    await until(() => batches.length > 3);
    await clock.sleep(20);
    const count = served.length;
    stop.abort();
    expect(await ended).toBe('ended');
    await clock.sleep(200);
    expect(served.length).toBe(count);
  });

  it('proves that it could be polled, or why not', async () => {
    const { simulator, line } = await simulate(modbusLine({ stations: STATIONS }));
    const prove = (each: ModbusLine) => createModbusDriver(each, world).prove?.(never);
    expect(await prove(line)).toBe(true);
    simulator.setFault('P1', { exception: 4 });
    expect(await prove(line), 'an exception is an answer').toBe(true);
    simulator.setFault('P1', { silent: true });
    await expect(prove(line)).rejects.toMatchObject({ code: 'KOM_DEVICE_TIMEOUT' });
    const failover = { ...line.failover, isExclusive: true };
    expect(await prove({ ...line, failover }), 'somebody else has it').toBe(false);
    const serial = { kind: 'rtu', baudRate: 9600, parity: 'none', dataBits: 8, stopBits: 1 } as const;
    const on = (device: string) => prove({ ...line, failover, channel: { ...serial, device } });
    await expect(on('/dev/ttyNone0')).rejects.toMatchObject({ code: 'KOM_DEVICE_UNREACHABLE' });
    await expect(on(import.meta.filename)).rejects.toThrow('a serial port');
    expect(await on('/dev/ptmx')).toBe(true);
  });
});

describe('taking over a bus', () => {
  it('stays closed while somebody asks on it, and asks nothing itself (RTU over TCP)', async () => {
    const sockets = new Set<Socket>();
    let received = 0;
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('data', (bytes) => {
        received += bytes.length;
      });
      socket.on('error', () => {});
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    cleanups.push(async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no address');
    const channel = { kind: 'rtu-over-tcp', address: { host: '127.0.0.1', port: address.port } } as const;
    const driver = createModbusDriver(modbusLine({ channel, stations: STATIONS }), world);
    const other = setInterval(() => {
      for (const socket of sockets) socket.write(request());
    }, 50);
    await expect(driver.connect(never, { listenFirst: true })).rejects.toMatchObject({
      code: 'KOM_LINE_IN_USE',
    });
    clearInterval(other);
    expect(received).toBe(0);
    const startMs = clock.monotonicMs();
    await using _link = await driver.connect(never, { listenFirst: true });
    expect(clock.monotonicMs() - startMs).toBeGreaterThan(2 * 50 + 200 - 20);
    expect(received).toBe(0);
  });

  it('listens on a serial port before it asks', async (context) => {
    if (spawnSync('socat', ['-V']).status !== 0) {
      console.warn('serial bus skipped: socat is not installed');
      context.skip('socat is not installed');
    }
    const [own, far] = ['own', 'far'].map((end) => join(tmpdir(), `kom-bus-${process.pid}-${end}`)) as [
      string,
      string,
    ];
    const cable: ChildProcess = spawn('socat', [`pty,raw,echo=0,link=${own}`, `pty,raw,echo=0,link=${far}`]);
    cleanups.push(async () => {
      cable.kill();
      await once(cable, 'close');
    });
    await until(() => existsSync(own) && existsSync(far));
    const serial = { kind: 'rtu', baudRate: 19_200, parity: 'even', dataBits: 8, stopBits: 1 } as const;
    const line = modbusLine({ channel: { ...serial, device: own }, stations: STATIONS });
    const driver = createModbusDriver(line, world);
    const bus = await open(far, 'r+');
    const other = setInterval(() => void bus.write(request()), 50);
    await expect(driver.connect(never, { listenFirst: true })).rejects.toMatchObject({
      code: 'KOM_LINE_IN_USE',
    });
    clearInterval(other);
    await bus.close();
    const simulated = modbusLine({ channel: { ...serial, device: far }, stations: STATIONS });
    const recorder = { served: () => {} };
    const simulator = await simulateModbusLine(simulated, { clock, seed: 7, recorder });
    cleanups.push(() => simulator[Symbol.asyncDispose]());
    const link = await driver.connect(never, { listenFirst: true });
    cleanups.push(() => link[Symbol.asyncDispose]());
    const batches: LinkBatch[] = [];
    void collect(link, batches).catch(() => undefined);
    await until(() => batches.some(({ readings }) => readings[0]?.quality === 0));
  });
});
