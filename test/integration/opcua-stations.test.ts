import { expect, test } from 'vitest';
import { Quality } from '../../src/domain/quality.ts';
import { createOpcuaDriver } from '../../src/drivers/opcua/driver.ts';
import { simulateOpcuaLine } from '../../src/sim/opcua/simulator.ts';
import type { Clock } from '../../src/world/clock.ts';
import { silentLog } from '../../src/world/log.ts';
import { createClock } from '../../src/world/real/clock.ts';
import {
  collect,
  mixedStations,
  opcuaLine,
  opcuaTag,
  recording,
  sleep,
  temporaryDirectory,
  until,
} from './opcua-fixtures.ts';
import { bareServer, DataType } from './opcua-server.ts';

const clock = createClock();
const world = { clock, log: silentLog };
const signal = new AbortController().signal;

test('an unplugged station goes bad alone, and comes back', async () => {
  await using directory = await temporaryDirectory();
  const recorder = recording();
  const line = opcuaLine({ pkiDirectory: directory.path, stations: mixedStations(2, 8) });
  await using simulator = await simulateOpcuaLine(line, { clock, seed: 5, recorder, port: 0 });
  const driver = createOpcuaDriver({ ...line, endpointUrl: simulator.endpointUrl }, world);
  await using link = await driver.connect(signal);
  const collected = collect(link);
  await until(() => new Set(collected.readings().map((each) => each.tagIndex)).size === 16);
  simulator.unplug('S0', true);
  const isBad = (index: number) => collected.of(index).at(-1)?.quality === Quality.badNoCommunication;
  await until(() => [0, 1, 2, 3, 4, 5, 6, 7].every(isBad));
  const before = collected.of(8).length;
  await until(() => collected.of(8).length > before + 2);
  expect([8, 9, 10, 11, 12, 13, 14, 15].some(isBad)).toBe(false);
  expect(recorder.values.filter((each) => each.value === null).map((each) => each.tag)).toHaveLength(8);
  simulator.unplug('S0', false);
  await until(() => ![0, 1, 2, 3, 4, 5, 6, 7].some(isBad));
});

test('a refused node is tried again and taken up when the server has it', async () => {
  await using directory = await temporaryDirectory();
  await using server = await bareServer(directory.path);
  server.variable('present', { dataType: DataType.Double, value: 1 });
  const tags = ['present', 'later'].map((name, index) => opcuaTag(index, { nodeId: `ns=1;s=${name}` }));
  const stations = [{ name: 'S', mode: 'on' as const, tags }];
  const line = opcuaLine({ endpointUrl: server.endpointUrl, pkiDirectory: directory.path, stations });
  const hasty: Clock = {
    monotonicMs: () => clock.monotonicMs(),
    wallUs: () => clock.wallUs(),
    sleep: (ms, until_) => clock.sleep(ms, until_),
    schedule: (name, ms, run) => clock.schedule(name, ms, run),
    repeat: (name, ms, run) => clock.repeat(name, name === 'opcua-refused' ? 200 : ms, run),
  };
  await using link = await createOpcuaDriver(line, { clock: hasty, log: silentLog }).connect(signal);
  const collected = collect(link);
  await until(() => collected.of(1).length >= 2);
  expect(collected.of(1).every((each) => each.quality === Quality.badNodeIdUnknown)).toBe(true);
  server.variable('later', { dataType: DataType.Double, value: 42 });
  await until(() => collected.of(1).at(-1)?.value === 42);
  await sleep(500);
  expect(collected.of(1).at(-1)).toMatchObject({ value: 42, quality: Quality.good });
  expect(collected.of(0)).toHaveLength(1);
});

test('stations that are off are not subscribed, and a line without any keeps its session', async () => {
  await using directory = await temporaryDirectory();
  const recorder = recording();
  const [on, off] = mixedStations(2, 4);
  const stations = [on!, { ...off!, mode: 'off' as const }];
  const line = opcuaLine({ pkiDirectory: directory.path, stations });
  await using simulator = await simulateOpcuaLine(line, { clock, seed: 6, recorder, port: 0 });
  const { endpointUrl } = simulator;
  await using link = await createOpcuaDriver({ ...line, endpointUrl }, world).connect(signal);
  const collected = collect(link);
  await sleep(1500);
  expect(new Set(collected.batches.map((batch) => batch.station))).toEqual(new Set(['S0']));
  const idle = { ...line, endpointUrl, sessionTimeoutMs: 1000, stations: [stations[1]!] };
  const idleLink = await createOpcuaDriver(idle, world).connect(signal);
  const idleCollected = collect(idleLink);
  await sleep(3000);
  expect(simulator.sessions().current).toBe(2);
  expect(idleCollected.batches).toEqual([]);
  await idleLink[Symbol.asyncDispose]();
  expect(await idleCollected.ended).toBeUndefined();
});
