import { expect, test } from 'vitest';
import { isKomError } from '../../src/domain/errors.ts';
import type { Driver } from '../../src/drivers/driver.ts';
import { createOpcuaDriver } from '../../src/drivers/opcua/driver.ts';
import { simulateOpcuaLine } from '../../src/sim/opcua/simulator.ts';
import { silentLog } from '../../src/world/log.ts';
import { createClock } from '../../src/world/real/clock.ts';
import {
  type Collected,
  collect,
  cuttingProxy,
  mixedStations,
  opcuaLine,
  recording,
  sleep,
  temporaryDirectory,
  until,
} from '../integration/opcua-fixtures.ts';

const clock = createClock();
const world = { clock, log: silentLog };

/** Connects until it works, as the supervisor does; counts the attempts that opened a session. */
async function reconnect(driver: Driver): Promise<{ link: AsyncDisposable; collected: Collected }> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const link = await driver.connect(new AbortController().signal);
      return { link, collected: collect(link) };
    } catch (error) {
      if (attempt > 50) throw error;
      await sleep(50);
    }
  }
}

async function plant(path: string, change = {}) {
  const recorder = recording();
  const line = opcuaLine({ pkiDirectory: path, stations: mixedStations(2, 10), ...change });
  const simulator = await simulateOpcuaLine(line, { clock, seed: 2, recorder, port: 0 });
  return { line, recorder, simulator };
}

test.each(['None', 'Basic256Sha256'] as const)(
  '20 cuts leave one session at the server (%s)',
  async (policy) => {
    await using directory = await temporaryDirectory();
    const security = { securityPolicy: policy, securityMode: policy === 'None' ? 'None' : 'SignAndEncrypt' };
    const { line, simulator } = await plant(directory.path, security);
    await using _simulator = simulator;
    await using proxy = await cuttingProxy(
      Number(new URL(simulator.endpointUrl.replace('opc.tcp', 'http')).port),
    );
    const driver = createOpcuaDriver(
      { ...line, endpointUrl: `opc.tcp://127.0.0.1:${proxy.port}/UA/plant` },
      world,
    );
    let connects = 0;
    let most = 0;
    for (let cut = 0; cut < 20; cut += 1) {
      const { link, collected } = await reconnect(driver);
      connects += 1;
      await until(() => collected.readings().length >= 20);
      most = Math.max(most, simulator.sessions().current);
      proxy.cut();
      const error = await collected.ended;
      expect(isKomError(error, 'KOM_CONNECTION_LOST'), String(error)).toBe(true);
      await link[Symbol.asyncDispose]();
    }
    const last = await reconnect(driver);
    connects += 1;
    expect(most).toBe(1);
    expect(simulator.sessions()).toEqual({ current: 1, ever: connects });
    await last.link[Symbol.asyncDispose]();
    expect(await last.collected.ended).toBeUndefined();
    await until(() => simulator.sessions().current === 0);
  },
);

test('a server that is killed and started again is taken up anew', async () => {
  await using directory = await temporaryDirectory();
  const { line, simulator } = await plant(directory.path);
  await using _simulator = simulator;
  const driver = createOpcuaDriver({ ...line, endpointUrl: simulator.endpointUrl }, world);
  for (let round = 0; round < 3; round += 1) {
    const { link, collected } = await reconnect(driver);
    await until(() => new Set(collected.readings().map((each) => each.tagIndex)).size === 20);
    await simulator.stopServer();
    expect(isKomError(await collected.ended)).toBe(true);
    await link[Symbol.asyncDispose]();
    await expect(driver.connect(new AbortController().signal)).rejects.toMatchObject({
      code: 'KOM_DEVICE_UNREACHABLE',
    });
    await simulator.startServer();
  }
  expect(simulator.sessions()).toEqual({ current: 0, ever: 3 });
});

test('a server that falls silent without a word ends the iteration within the keep-alive time', async () => {
  await using directory = await temporaryDirectory();
  const { line, simulator } = await plant(directory.path);
  await using _simulator = simulator;
  await using proxy = await cuttingProxy(
    Number(new URL(simulator.endpointUrl.replace('opc.tcp', 'http')).port),
  );
  const driver = createOpcuaDriver(
    { ...line, endpointUrl: `opc.tcp://127.0.0.1:${proxy.port}/UA/plant` },
    world,
  );
  const { link, collected } = await reconnect(driver);
  await until(() => collected.readings().length >= 20);
  proxy.mute(true);
  const mutedAtMs = performance.now();
  expect(isKomError(await collected.ended, 'KOM_DEVICE_TIMEOUT')).toBe(true);
  expect(performance.now() - mutedAtMs).toBeLessThan(6000);
  const disposedAtMs = performance.now();
  await link[Symbol.asyncDispose]();
  expect(performance.now() - disposedAtMs).toBeLessThan(2000);
  proxy.mute(false);
  const again = await reconnect(driver);
  await until(() => again.collected.readings().length >= 20);
  expect(simulator.sessions()).toEqual({ current: 1, ever: 2 });
  await again.link[Symbol.asyncDispose]();
});

test('an agent that is killed leaves a session that the server ends by its time-out', async () => {
  await using directory = await temporaryDirectory();
  const { line, simulator } = await plant(directory.path, { sessionTimeoutMs: 2000 });
  await using _simulator = simulator;
  await using proxy = await cuttingProxy(
    Number(new URL(simulator.endpointUrl.replace('opc.tcp', 'http')).port),
  );
  const endpointUrl = `opc.tcp://127.0.0.1:${proxy.port}/UA/plant`;
  const killed = await reconnect(createOpcuaDriver({ ...line, endpointUrl }, world));
  await until(() => killed.collected.readings().length >= 20);
  proxy.cut();
  await killed.collected.ended;
  expect(simulator.sessions().current).toBe(1);
  await until(() => simulator.sessions().current === 0, 8000);
  await killed.link[Symbol.asyncDispose]();
});

test('cuts at any moment of connecting neither crash the agent nor pile up sessions', async () => {
  await using directory = await temporaryDirectory();
  const { line, simulator } = await plant(directory.path, { sessionTimeoutMs: 3000, connectTimeoutMs: 1000 });
  await using _simulator = simulator;
  await using proxy = await cuttingProxy(
    Number(new URL(simulator.endpointUrl.replace('opc.tcp', 'http')).port),
  );
  const driver = createOpcuaDriver(
    { ...line, endpointUrl: `opc.tcp://127.0.0.1:${proxy.port}/UA/plant` },
    world,
  );
  let opened = 0;
  for (let cut = 0; cut < 60; cut += 1) {
    const cutting = sleep(cut).then(() => proxy.cut());
    try {
      const link = await driver.connect(new AbortController().signal);
      opened += 1;
      const { ended } = collect(link);
      await cutting;
      proxy.cut();
      await ended;
      await link[Symbol.asyncDispose]();
    } catch (error) {
      expect(isKomError(error), String(error)).toBe(true);
    }
    await cutting;
  }
  expect(opened).toBeGreaterThan(0);
  const { link, collected } = await reconnect(driver);
  await until(() => simulator.sessions().current === 1);
  await until(() => collected.readings().length > 0);
  await link[Symbol.asyncDispose]();
});
