import { DataType } from 'node-opcua';
import { expect, test } from 'vitest';
import type { OpcuaTag } from '../../src/config/model.ts';
import { Quality } from '../../src/domain/quality.ts';
import { createOpcuaDriver } from '../../src/drivers/opcua/driver.ts';
import { silentLog } from '../../src/world/log.ts';
import { createClock } from '../../src/world/real/clock.ts';
import {
  type Collected,
  collect,
  opcuaLine,
  opcuaTag,
  sleep,
  temporaryDirectory,
  until,
} from '../integration/opcua-fixtures.ts';
import { bareServer } from '../integration/opcua-server.ts';

const clock = createClock();
const world = { clock, log: silentLog };
const signal = new AbortController().signal;
const Double = DataType.Double;

/** A server with three points, and a line that stands by on it. */
async function standby(path: string, tags: readonly Partial<OpcuaTag>[] = [{}, {}, {}]) {
  const server = await bareServer(path);
  const points = tags.map((_, index) => server.variable(`V${index}`, { dataType: Double, value: index }));
  const all = tags.map((each, index) => opcuaTag(index, { nodeId: `ns=1;s=V${index}`, ...each }));
  const line = opcuaLine({
    endpointUrl: server.endpointUrl,
    pkiDirectory: path,
    stations: [{ name: 'S', mode: 'on', tags: all }],
  });
  const link = await createOpcuaDriver(line, world).connect(signal, { role: 'standby', failoverMs: 3000 });
  const set = async (index: number, value: number): Promise<number> => {
    const atMs = Math.floor(clock.wallUs() / 1000);
    points[index]?.setValueFromSource({ dataType: Double, value });
    await sleep(250);
    return atMs;
  };
  return {
    link,
    server,
    set,
    collected: collect(link),
    async [Symbol.asyncDispose]() {
      await link[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** The values of a tag; this server queues the present one once more when it begins to report. */
function told(collected: Collected, tagIndex: number): unknown[] {
  return [...new Map(collected.of(tagIndex).map((each) => [each.sourceTimeUs, each.value])).values()];
}

/** The queues are told to their end. */
function flushed({ batches }: Collected): boolean {
  return batches.some(
    ({ observedSinceUs, unchangedUntilUs }) =>
      observedSinceUs !== undefined && unchangedUntilUs !== undefined,
  );
}

test('what changed while it stood by comes with its times when it is active', async () => {
  await using directory = await temporaryDirectory();
  await using station = await standby(directory.path);
  const { link, collected, set } = station;
  const sinceMs = clock.wallUs() / 1000;
  const firstMs = await set(0, 10);
  const secondMs = await set(0, 11);
  await set(1, 20);
  await sleep(700);
  expect(collected.batches, 'it tells nothing while it stands by').toEqual([]);
  await link.setRole?.('active');
  await until(() => flushed(collected));
  expect(told(collected, 0)).toEqual([0, 10, 11]);
  expect(told(collected, 1)).toEqual([1, 20]);
  expect(told(collected, 2)).toEqual([2]);
  const times = collected
    .of(0)
    .slice(1)
    .map(({ sourceTimeUs }) => sourceTimeUs / 1000);
  expect(Math.abs((times[0] ?? 0) - firstMs)).toBeLessThan(200);
  expect(Math.abs((times[1] ?? 0) - secondMs)).toBeLessThan(200);
  const since = new Set(collected.batches.map(({ observedSinceUs }) => observedSinceUs));
  expect(since.size).toBe(1);
  expect(Math.abs([...since].map((us) => (us ?? 0) / 1000 - sinceMs)[0] ?? Infinity)).toBeLessThan(1000);
  expect(collected.batches.flatMap(({ unseen }) => unseen ?? [])).toEqual([]);
  collected.batches.length = 0;
  await set(0, 12);
  await until(() => collected.of(0).length > 0);
  expect(collected.batches[0], 'from then on values are told as ever').not.toHaveProperty('observedSinceUs');
});

test('it stands by and is active again in one session, and misses nothing of either time', async () => {
  await using directory = await temporaryDirectory();
  await using station = await standby(directory.path);
  const { link, collected, set, server } = station;
  await link.setRole?.('active');
  await until(() => flushed(collected));
  await sleep(500);
  collected.batches.length = 0;
  const standing = link.setRole?.('standby');
  await set(0, 30);
  await standing;
  await set(1, 31);
  await sleep(300);
  expect(collected.batches).toEqual([]);
  await link.setRole?.('active');
  await until(() => flushed(collected));
  expect(told(collected, 0)).toEqual([30]);
  // When it begins to report, the server may say once more what was known; report by exception drops that.
  expect(told(collected, 1).filter((value) => value !== 1)).toEqual([31]);
  expect(
    told(collected, 2).filter((value) => value !== 2),
    'it did not change',
  ).toEqual([]);
  expect(server.server.engine.currentSessionCount).toBe(1);
});

test('a queue that ran over tells the hole before its oldest value as that of a takeover', async () => {
  await using directory = await temporaryDirectory();
  await using station = await standby(directory.path, [{ samplingIntervalMs: 1000, queueSize: 2 }]);
  const { link, collected, set } = station;
  for (let value = 1; value <= 12; value += 1) await set(0, value).then(() => sleep(800));
  await link.setRole?.('active');
  await until(() => flushed(collected));
  const values = collected.of(0);
  // Room for 3 s at 1 s each and one more, where 2 are configured.
  expect([3, 4]).toContain(told(collected, 0).length);
  expect(told(collected, 0).slice(-3)).toEqual([10, 11, 12]);
  expect(values.every(({ quality }) => quality === Quality.good)).toBe(true);
  const sinceUs = collected.batches[0]?.observedSinceUs;
  expect(collected.batches.flatMap(({ unseen }) => unseen ?? [])).toEqual([
    { tagIndexes: [0], fromUs: sinceUs, toUs: values[0]?.sourceTimeUs, reason: 'takeover' },
  ]);
}, 30_000);

test('a refusal of the server is told when it is active', async () => {
  await using directory = await temporaryDirectory();
  await using station = await standby(directory.path, [{}, { nodeId: 'ns=1;s=absent' }]);
  const { link, collected } = station;
  await sleep(300);
  await link.setRole?.('active');
  await until(() => flushed(collected));
  expect(collected.of(1).map(({ quality }) => quality)).toEqual([Quality.badNodeIdUnknown]);
});

test('it proves that a session could be opened, and leaves none behind', async () => {
  await using directory = await temporaryDirectory();
  const server = await bareServer(directory.path);
  server.variable('V0', { dataType: Double, value: 1 });
  const tags = [opcuaTag(0, { nodeId: 'ns=1;s=V0' })];
  const stations = [{ name: 'S', mode: 'on' as const, tags }];
  const line = opcuaLine({ endpointUrl: server.endpointUrl, pkiDirectory: directory.path, stations });
  const driver = createOpcuaDriver(line, world);
  expect(await driver.prove?.(signal)).toBe(true);
  await until(() => server.server.engine.currentSessionCount === 0);
  await server[Symbol.asyncDispose]();
  await expect(driver.prove?.(signal)).rejects.toMatchObject({ code: 'KOM_DEVICE_UNREACHABLE' });
});
