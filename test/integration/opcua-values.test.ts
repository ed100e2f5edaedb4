import { Range, StatusCodes } from 'node-opcua';
import { expect, test } from 'vitest';
import type { ValueType } from '../../src/domain/dictionary.ts';
import { Quality } from '../../src/domain/quality.ts';
import type { SampleValue } from '../../src/domain/sample.ts';
import { createOpcuaDriver } from '../../src/drivers/opcua/driver.ts';
import { silentLog } from '../../src/world/log.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { collect, opcuaLine, opcuaTag, sleep, temporaryDirectory, until } from './opcua-fixtures.ts';
import { bareServer, DataType, VariantArrayType } from './opcua-server.ts';

const clock = createClock();
const world = { clock, log: silentLog };
const signal = new AbortController().signal;
const { Scalar, Array: List, Matrix } = VariantArrayType;

/** Data type, value as the server library takes it, tag type, what the archive must show. */
const CASES: [
  DataType,
  VariantArrayType,
  unknown,
  ValueType,
  SampleValue | typeof Quality.badTypeMismatch,
][] = [
  [DataType.Boolean, Scalar, true, 'bool', true],
  [DataType.Boolean, Scalar, true, 'int64', 1n],
  [DataType.SByte, Scalar, -128, 'int64', -128n],
  [DataType.Byte, Scalar, 255, 'int64', 255n],
  [DataType.Int16, Scalar, -32768, 'int64', -32768n],
  [DataType.UInt16, Scalar, 65535, 'int64', 65535n],
  [DataType.Int32, Scalar, -(2 ** 31), 'int64', -(2n ** 31n)],
  [DataType.UInt32, Scalar, 2 ** 32 - 1, 'int64', 2n ** 32n - 1n],
  [DataType.UInt32, Scalar, 2 ** 32 - 1, 'float64', 2 ** 32 - 1],
  [DataType.Int64, Scalar, [0x7fffffff, 0xffffffff], 'int64', 2n ** 63n - 1n],
  [DataType.Int64, Scalar, [0x80000000, 0], 'int64', -(2n ** 63n)],
  [DataType.Int64, Scalar, [0xffffffff, 0xffffffff], 'int64', -1n],
  [DataType.Int64, Scalar, [0x00200000, 1], 'int64', 2n ** 53n + 1n],
  [DataType.Int64, Scalar, [0x00200000, 0], 'float64', 2 ** 53],
  [DataType.UInt64, Scalar, [0x7fffffff, 0xffffffff], 'int64', 2n ** 63n - 1n],
  [DataType.UInt64, Scalar, [0xffffffff, 0xffffffff], 'int64', '18446744073709551615'],
  [DataType.Int64, Scalar, [0x7fffffff, 0xffffffff], 'text', '9223372036854775807'],
  [DataType.Float, Scalar, Math.fround(1.1), 'float64', Math.fround(1.1)],
  [DataType.Double, Scalar, 0.1 + 0.2, 'float64', 0.1 + 0.2],
  [DataType.Double, Scalar, 42, 'int64', 42n],
  [DataType.String, Scalar, 'café ☕', 'text', 'café ☕'],
  [DataType.LocalizedText, Scalar, { text: 'běží', locale: 'cs' }, 'text', 'běží'],
  [DataType.DateTime, Scalar, new Date('2026-11-22T20:15:00.123Z'), 'text', '2026-11-22T20:15:00.123Z'],
  [
    DataType.Guid,
    Scalar,
    '72962B91-FA75-4AE6-8D28-B404DC7DAF63',
    'text',
    '72962B91-FA75-4AE6-8D28-B404DC7DAF63',
  ],
  [DataType.ByteString, Scalar, Buffer.from([1, 2, 3]), 'text', '"AQID"'],
  [DataType.ExtensionObject, Scalar, new Range({ low: -1, high: 1 }), 'text', '{"low":-1,"high":1}'],
  [DataType.Int32, List, [1, -2, 3], 'text', '[1,-2,3]'],
  [DataType.Int64, List, [[0x7fffffff, 0xffffffff]], 'text', '["9223372036854775807"]'],
  [DataType.String, List, ['a', 'b'], 'text', '["a","b"]'],
  [DataType.Double, Matrix, [1, 2, 3, 4, 5, 6], 'text', '[[1,2,3],[4,5,6]]'],
];

test('values of every type arrive exactly', async () => {
  await using directory = await temporaryDirectory();
  await using server = await bareServer(directory.path);
  for (const [index, [dataType, arrayType, value]] of CASES.entries()) {
    server.variable(`V${index}`, {
      dataType,
      arrayType,
      value,
      ...(arrayType === Matrix ? { dimensions: [2, 3] } : {}),
    });
  }
  const tags = CASES.map(([, , , type], index) => opcuaTag(index, { type, nodeId: `ns=1;s=V${index}` }));
  const line = opcuaLine({
    endpointUrl: server.endpointUrl,
    pkiDirectory: directory.path,
    stations: [{ name: 'S', mode: 'on', tags }],
  });
  await using link = await createOpcuaDriver(line, world).connect(signal);
  const collected = collect(link);
  await until(() => collected.readings().length >= CASES.length);
  for (const [index, [dataType, , , type, expected]] of CASES.entries()) {
    const [reading] = collected.of(index);
    expect(reading?.value, `${DataType[dataType]} as ${type}`).toBe(expected);
    expect(reading?.quality, `${DataType[dataType]} as ${type}`).toBe(Quality.good);
  }
});

test('inexact, bad and unknown ones are bad readings beside good ones', async () => {
  await using directory = await temporaryDirectory();
  await using server = await bareServer(directory.path, { maxMonitoredItemsPerCall: 2 });
  server.variable('good', { dataType: DataType.Double, value: 1.5 });
  server.variable('wide', { dataType: DataType.Int64, arrayType: Scalar, value: [0x00200000, 1] });
  server.variable('text', { dataType: DataType.String, value: '12' });
  const broken = server.variable('broken', { dataType: DataType.Double, value: 1 });
  broken.setValueFromSource({ dataType: DataType.Double, value: 1 }, StatusCodes.BadSensorFailure);
  const nodeIds = ['good', 'wide', 'text', 'broken', 'absent'].map((name) => `ns=1;s=${name}`);
  nodeIds.push('nsu=urn:nobody;s=x', 'this is no node id');
  const tags = nodeIds.map((nodeId, index) => opcuaTag(index, { nodeId }));
  const stations = [{ name: 'S', mode: 'on' as const, tags }];
  const line = opcuaLine({ endpointUrl: server.endpointUrl, pkiDirectory: directory.path, stations });
  await using link = await createOpcuaDriver(line, world).connect(signal);
  const collected = collect(link);
  await until(() => new Set(collected.readings().map(({ tagIndex }) => tagIndex)).size === tags.length);
  const got = tags.map(({ index }) => collected.of(index)[0]).map((each) => [each?.value, each?.quality]);
  expect(got).toEqual([
    [1.5, Quality.good],
    [null, Quality.badTypeMismatch],
    [null, Quality.badTypeMismatch],
    [null, Quality.badSensorFailure],
    [null, Quality.badNodeIdUnknown],
    [null, Quality.badNodeIdUnknown],
    [null, Quality.badNodeIdUnknown],
  ]);
});

test('an overflow of a queue at the server becomes an unseen interval, not part of the quality', async () => {
  await using directory = await temporaryDirectory();
  await using server = await bareServer(directory.path);
  const fast = server.variable('fast', { dataType: DataType.Int32, value: 0 });
  const tags = [opcuaTag(0, { type: 'int64', nodeId: 'ns=1;s=fast', samplingIntervalMs: 50, queueSize: 2 })];
  const line = opcuaLine({
    endpointUrl: server.endpointUrl,
    pkiDirectory: directory.path,
    publishingIntervalMs: 1000,
    stations: [{ name: 'S', mode: 'on', tags }],
  });
  await using link = await createOpcuaDriver(line, world).connect(signal);
  const collected = collect(link);
  await until(() => collected.of(0).length > 0);
  for (let value = 1; value <= 15; value += 1) {
    fast.setValueFromSource({ dataType: DataType.Int32, value });
    await sleep(120);
  }
  await until(() => collected.of(0).at(-1)?.value === 15n);
  const unseen = collected.batches.flatMap((batch) => batch.unseen ?? []);
  expect(unseen.length).toBeGreaterThan(0);
  const times = collected.of(0).map((reading) => reading.sourceTimeUs);
  for (const { tagIndexes, fromUs, toUs, reason } of unseen) {
    expect([tagIndexes, reason]).toEqual([[0], 'overload']);
    // From one delivered value to the next.
    expect(times.indexOf(toUs)).toBe(times.indexOf(fromUs) + 1);
  }
  expect(collected.of(0).every((reading) => reading.quality === Quality.good)).toBe(true);
});

test('a keep-alive says up to when nothing changed, and never speaks of the future', async () => {
  await using directory = await temporaryDirectory();
  await using server = await bareServer(directory.path);
  server.variable('still', { dataType: DataType.Double, value: 1 });
  const tags = [opcuaTag(0, { nodeId: 'ns=1;s=still' })];
  const line = opcuaLine({
    endpointUrl: server.endpointUrl,
    pkiDirectory: directory.path,
    stations: [{ name: 'S', mode: 'on', tags }],
  });
  await using link = await createOpcuaDriver(line, world).connect(signal);
  const collected = collect(link);
  const startUs = clock.wallUs();
  await until(() => collected.batches.filter((batch) => batch.unchangedUntilUs !== undefined).length >= 4);
  const claimedUs = collected.batches.flatMap((batch) => batch.unchangedUntilUs ?? []);
  expect(Math.max(...claimedUs)).toBeLessThanOrEqual(clock.wallUs());
  expect(Math.max(...claimedUs)).toBeGreaterThan(startUs);
  expect(claimedUs).toEqual(claimedUs.toSorted((a, b) => a - b));
  expect(collected.of(0)).toHaveLength(1);
});

test('a session that the server closes ends the link, and no other is opened by itself', async () => {
  await using directory = await temporaryDirectory();
  await using server = await bareServer(directory.path);
  server.variable('still', { dataType: DataType.Double, value: 1 });
  const tags = [opcuaTag(0, { nodeId: 'ns=1;s=still' })];
  const line = opcuaLine({
    endpointUrl: server.endpointUrl,
    pkiDirectory: directory.path,
    stations: [{ name: 'S', mode: 'on', tags }],
  });
  const link = await createOpcuaDriver(line, world).connect(signal);
  const collected = collect(link);
  await until(() => collected.readings().length > 0);
  const sessions = Reflect.get(server.server.engine, '_sessions') as Record<
    string,
    { authenticationToken: never }
  >;
  for (const session of Object.values(sessions)) {
    server.server.engine.closeSession(session.authenticationToken, true, 'Terminated');
  }
  expect(String(await collected.ended)).toContain('the connection was lost');
  await link[Symbol.asyncDispose]();
  await sleep(300);
  expect(server.server.engine.cumulatedSessionCount).toBe(1);
  expect(server.server.engine.currentSessionCount).toBe(0);
});
