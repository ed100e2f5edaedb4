import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it, type TestContext } from 'vitest';
import type { ModbusLine } from '../../src/config/model.ts';
import { isKomError } from '../../src/domain/errors.ts';
import { Quality } from '../../src/domain/quality.ts';
import type { LinkBatch } from '../../src/drivers/driver.ts';
import { createModbusDriver } from '../../src/drivers/modbus/driver.ts';
import { everyKindOfTag, modbusLine, modbusStation, modbusTag } from '../../src/drivers/modbus/testing.ts';
import { type ModbusSimulatorOptions, simulateModbusLine } from '../../src/sim/modbus/simulator.ts';
import type { ServedValue } from '../../src/sim/record.ts';
import { silentLog } from '../../src/world/log.ts';
import { createClock } from '../../src/world/real/clock.ts';

const clock = createClock();
const never = new AbortController().signal;
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function has(program: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, program)));
}

function skipWithout(context: TestContext, ...programs: string[]): void {
  for (const program of programs) if (!has(program)) context.skip(`${program} is not installed`);
}

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'kom-modbus-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function stop(child: ChildProcess): PromiseLike<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}

/** Two ends of a serial cable. */
async function serialPair(
  folder = temporary(),
): Promise<{ near: string; far: string; folder: string; socat: ChildProcess }> {
  const near = join(folder, 'near');
  const far = join(folder, 'far');
  const socat = spawn('socat', [`pty,raw,echo=0,link=${near}`, `pty,raw,echo=0,link=${far}`]);
  cleanups.push(() => stop(socat));
  for (let tries = 0; tries < 100 && !(existsSync(near) && existsSync(far)); tries++) await clock.sleep(20);
  return { near, far, folder, socat };
}

function serialLine(device: string, fields: Partial<ModbusLine>): ModbusLine {
  const settings = { baudRate: 19_200, parity: 'none', dataBits: 8, stopBits: 1 } as const;
  return modbusLine({ ...fields, channel: { kind: 'rtu', device, ...settings } });
}

async function simulate(line: ModbusLine, options: Partial<ModbusSimulatorOptions>) {
  const served: ServedValue[] = [];
  const recorder = { served: (value: ServedValue) => void served.push(value) };
  const simulator = await simulateModbusLine(line, { clock, seed: 11, recorder, ...options });
  cleanups.push(() => simulator[Symbol.asyncDispose]());
  return { simulator, served };
}

async function poll(line: ModbusLine, ms: number): Promise<LinkBatch[]> {
  const link = await createModbusDriver(line, { clock, log: silentLog }).connect(never);
  const batches: LinkBatch[] = [];
  const timer = clock.schedule('enough', ms, () => void link[Symbol.asyncDispose]());
  try {
    for await (const batch of link) batches.push(batch);
  } finally {
    timer.cancel();
    await link[Symbol.asyncDispose]();
  }
  return batches;
}

describe('RTU over a pair of pseudo-terminals', () => {
  it('brings every value of every type, order and table exactly as it was served', async (context) => {
    skipWithout(context, 'socat');
    const { near, far } = await serialPair();
    const tags = everyKindOfTag();
    const line = serialLine(near, { stations: [modbusStation({ tags, maxRegistersPerRequest: 60 })] });
    const { served } = await simulate(line, { listen: { device: far } });
    const readings = (await poll(line, 3000)).flatMap((batch) => batch.readings);
    expect(readings.every((reading) => reading.quality === Quality.good)).toBe(true);
    expect(new Set(readings.map((reading) => reading.tagIndex)).size).toBe(tags.length);
    for (const tag of tags) {
      const read = readings.filter((each) => each.tagIndex === tag.index).map((each) => each.value);
      const sent = served.filter((each) => each.tag === tag.name).map((each) => each.value);
      expect(sent.slice(0, read.length)).toEqual(read);
    }
  });

  it('does not stall on a dead unit, and takes no late answer for another one', async (context) => {
    skipWithout(context, 'socat');
    const { near, far } = await serialPair();
    const stations = [1, 2, 3].map((unit) =>
      modbusStation({
        name: `P${unit}`,
        unit,
        tags: [modbusTag({ index: unit, name: `P${unit}.v`, rawType: 'int64', class: 'counter' })],
      }),
    );
    const line = serialLine(near, { stations, responseTimeoutMs: 150, degradeAfterCycles: 3 });
    const faults = { P1: { silent: true }, P2: { delayMs: 220 } };
    const { served } = await simulate(line, { listen: { device: far }, faults });
    const batches = await poll(line, 6000);
    const third = batches.filter((batch) => batch.station === 'P3');
    expect(third.length).toBeGreaterThan(35);
    for (const { tagIndex, value, quality } of batches.flatMap((batch) => batch.readings)) {
      if (tagIndex !== 3) expect({ tagIndex, value }).toEqual({ tagIndex, value: null });
      else expect(quality).toBe(Quality.good);
    }
    expect(served.some((each) => each.tag === 'P2.v')).toBe(true);
  });

  it('reports a port that goes away, and opens it again', async (context) => {
    skipWithout(context, 'socat');
    const { near, far, folder, socat } = await serialPair();
    const line = serialLine(near, { stations: [modbusStation({ tags: [modbusTag()] })] });
    await simulate(line, { listen: { device: far } });
    clock.schedule('pull', 500, () => void stop(socat));
    const error = await poll(line, 5000).catch((reason: unknown) => reason);
    expect(isKomError(error, 'KOM_DEVICE_UNREACHABLE')).toBe(true);
    const gone = await poll(line, 500).catch((reason: unknown) => reason);
    expect(isKomError(gone, 'KOM_DEVICE_UNREACHABLE')).toBe(true);
    await serialPair(folder);
    await simulate(line, { listen: { device: far } });
    const again = await poll(line, 1000);
    expect(again.length).toBeGreaterThan(5);
    expect(again.flatMap((batch) => batch.readings).every((r) => r.quality === Quality.good)).toBe(true);
  });
});

describe('mbpoll reads the simulator', () => {
  const tags = [
    ...[0, 1, 2, 3].map((n) => modbusTag({ index: n, name: `h${n}`, address: n })),
    ...[0, 1, 2, 3].map((n) =>
      modbusTag({ index: 4 + n, name: `i${n}`, address: 10 + n, table: 'input-register' }),
    ),
    ...[0, 1, 2, 3].map((n) =>
      modbusTag({ index: 8 + n, name: `c${n}`, address: n, table: 'coil', rawType: 'bit' }),
    ),
    ...[0, 1, 2, 3].map((n) =>
      modbusTag({ index: 12 + n, name: `d${n}`, address: n, table: 'discrete-input', rawType: 'bit' }),
    ),
  ];
  const cases = [
    ['h', '4', '0'],
    ['i', '3', '10'],
    ['c', '0', '0'],
    ['d', '1', '0'],
  ] as const;

  async function compare(args: readonly string[], served: ServedValue[]): Promise<void> {
    for (const [prefix, type, first] of cases) {
      served.length = 0;
      const { stdout } = await promisify(execFile)('mbpoll', [
        ...['-a', '1', '-0', '-1', '-q', '-t', type, '-r', first, '-c', '4'],
        ...args,
      ]);
      // Of 16-bit values with the highest bit set mbpoll prints the signed value in brackets behind.
      const read = [...stdout.matchAll(/^\[\d+\]:\s+(\d+)/gm)].map((match) => Number(match[1]));
      const sent = served.filter((each) => each.tag.startsWith(prefix)).map((each) => Number(each.value));
      expect(sent).toHaveLength(4);
      expect(read).toEqual(sent);
    }
  }

  it('over TCP', async (context) => {
    skipWithout(context, 'mbpoll');
    const line = modbusLine({ stations: [modbusStation({ tags })] });
    const { simulator, served } = await simulate(line, { listen: { host: '127.0.0.1', port: 0 } });
    await compare(['-m', 'tcp', '-p', String(simulator.address?.port), '127.0.0.1'], served);
  });

  it('over RTU', async (context) => {
    skipWithout(context, 'mbpoll', 'socat');
    const { near, far } = await serialPair();
    const line = serialLine(near, { stations: [modbusStation({ tags })] });
    const { served } = await simulate(line, { listen: { device: far } });
    await compare(['-m', 'rtu', '-b', '19200', '-P', 'none', near], served);
  });
});

/** Serves known values in all four tables; `argv[1]` is a serial device, without it a free TCP port. */
const LIBMODBUS_SERVER = String.raw`
#include <arpa/inet.h>
#include <modbus.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
static void put(uint16_t *to, float value, int swap_words, int swap_bytes) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  for (int word = 0; word < 2; word++) {
    uint16_t part = bits >> (word == swap_words ? 16 : 0);
    to[word] = swap_bytes ? (part << 8) | (part >> 8) : part;
  }
}
int main(int argc, char **argv) {
  modbus_t *ctx = argc > 1 ? modbus_new_rtu(argv[1], 19200, 'N', 8, 1) : modbus_new_tcp("127.0.0.1", 0);
  modbus_mapping_t *map = modbus_mapping_new(40, 40, 200, 200);
  uint8_t query[MODBUS_MAX_ADU_LENGTH];
  int listener = -1;
  for (int i = 0; i < 40; i++) { map->tab_bits[i] = i % 3 == 0; map->tab_input_bits[i] = i % 5 == 0; }
  for (int i = 0; i < 200; i++) { map->tab_registers[i] = 1000 + i; map->tab_input_registers[i] = 65535 - i; }
  put(&map->tab_registers[100], 1.5f, 0, 0);
  put(&map->tab_registers[102], -2.25f, 1, 1);
  put(&map->tab_registers[104], 1024.125f, 0, 1);
  put(&map->tab_registers[106], 0.5f, 1, 0);
  MODBUS_SET_INT64_TO_INT16(map->tab_registers, 110, -9223372036854775807LL);
  MODBUS_SET_INT32_TO_INT16(map->tab_registers, 120, -70000);
  modbus_set_slave(ctx, 1);
  if (argc > 1) {
    if (modbus_connect(ctx) != 0) return 1;
    printf("0\n");
  } else {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    listener = modbus_tcp_listen(ctx, 1);
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
  }
  fflush(stdout);
  for (;;) {
    if (listener >= 0 && modbus_tcp_accept(ctx, &listener) < 0) return 1;
    for (int n; (n = modbus_receive(ctx, query)) >= 0;) if (n > 0) modbus_reply(ctx, query, n, map);
    if (listener >= 0) modbus_close(ctx);
  }
}
`;

describe('the driver reads a libmodbus server', () => {
  async function libmodbus(context: TestContext, device?: string): Promise<number> {
    skipWithout(context, 'cc', 'pkg-config');
    const folder = temporary();
    const source = join(folder, 'server.c');
    const program = join(folder, 'server');
    writeFileSync(source, LIBMODBUS_SERVER);
    try {
      const flags = execFileSync('pkg-config', ['--cflags', '--libs', 'libmodbus'], { stdio: 'pipe' });
      execFileSync('cc', [source, '-o', program, ...flags.toString().trim().split(/\s+/)], { stdio: 'pipe' });
    } catch (error) {
      context.skip(`libmodbus-dev is not installed: ${String(error).slice(0, 200)}`);
    }
    const server = spawn(program, device === undefined ? [] : [device], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    cleanups.push(() => stop(server));
    return new Promise((resolve) => server.stdout.once('data', (line: Buffer) => resolve(Number(line))));
  }

  const at = (fields: Parameters<typeof modbusTag>[0] & { index: number }) => modbusTag(fields);
  const tags = [
    at({ index: 0, address: 0, rawType: 'uint16' }),
    at({ index: 1, address: 100, rawType: 'float32' }),
    at({ index: 2, address: 102, rawType: 'float32', wordOrder: 'little', byteOrder: 'little' }),
    at({ index: 3, address: 104, rawType: 'float32', byteOrder: 'little' }),
    at({ index: 4, address: 106, rawType: 'float32', wordOrder: 'little' }),
    at({ index: 5, address: 110, rawType: 'int64' }),
    at({ index: 6, address: 120, rawType: 'int32' }),
    at({ index: 7, address: 3, rawType: 'int16', table: 'input-register' }),
    at({ index: 8, address: 199, rawType: 'uint16', table: 'input-register', scale: 0.5 }),
    at({ index: 9, address: 39, rawType: 'bit', table: 'coil' }),
    at({ index: 10, address: 35, rawType: 'bit', table: 'discrete-input' }),
    at({ index: 11, address: 1, rawType: 'bit', bitIndex: 3 }),
    at({ index: 12, address: 198, rawType: 'uint16' }),
    at({ index: 13, address: 203, rawType: 'uint16' }),
  ];
  const expected = new Map<number, unknown>([
    [0, 1000n],
    [1, 1.5],
    [2, -2.25],
    [3, 1024.125],
    [4, 0.5],
    [5, -9223372036854775807n],
    [6, -70000n],
    [7, -4n],
    [8, (65535 - 199) * 0.5],
    [9, true],
    [10, true],
    [11, true],
    [12, 1198n],
    // Beyond the device's image: merged with the tag before, refused, and split off.
    [13, null],
  ]);

  async function check(line: ModbusLine): Promise<void> {
    const last = new Map<number, unknown>();
    for (const batch of await poll(line, 2500)) {
      for (const reading of batch.readings) {
        if (reading.tagIndex === 13) expect(reading.quality).toBe(Quality.badConfigurationError);
        last.set(reading.tagIndex, reading.value);
      }
    }
    expect(new Map([...last].sort(([a], [b]) => a - b))).toEqual(expected);
  }

  it('over TCP', async (context) => {
    const port = await libmodbus(context);
    const channel = { kind: 'tcp', address: { host: '127.0.0.1', port } } as const;
    await check(modbusLine({ channel, stations: [modbusStation({ tags })] }));
  });

  it('over RTU', async (context) => {
    skipWithout(context, 'socat');
    const { near, far } = await serialPair();
    await libmodbus(context, far);
    await check(serialLine(near, { stations: [modbusStation({ tags })], responseTimeoutMs: 500 }));
  });
});
