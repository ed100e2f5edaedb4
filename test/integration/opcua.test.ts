import { expect, test } from 'vitest';
import { isBad } from '../../src/domain/quality.ts';
import { sameValue } from '../../src/domain/sample.ts';
import { createOpcuaDriver } from '../../src/drivers/opcua/driver.ts';
import { simulateOpcuaLine } from '../../src/sim/opcua/simulator.ts';
import { silentLog } from '../../src/world/log.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { collect, mixedStations, opcuaLine, recording, sleep, temporaryDirectory } from './opcua-fixtures.ts';

const clock = createClock();
const world = { clock, log: silentLog };

test('what the driver delivers is what the server queued: 100 tags, mixed rates, 6 s', async () => {
  await using directory = await temporaryDirectory();
  const recorder = recording();
  const line = opcuaLine({ pkiDirectory: directory.path, stations: mixedStations(2, 50) });
  await using simulator = await simulateOpcuaLine(line, { clock, seed: 1, recorder, port: 0 });
  const driver = createOpcuaDriver({ ...line, endpointUrl: simulator.endpointUrl }, world);
  const changesBefore = simulator.changes();
  const link = await driver.connect(new AbortController().signal);
  const collected = collect(link);
  await sleep(6000);
  const changes = simulator.changes() - changesBefore;
  const served = recorder.values.slice();
  await sleep(500);
  await link[Symbol.asyncDispose]();
  expect(await collected.ended).toBeUndefined();

  const tags = line.stations.flatMap((station) => station.tags);
  for (const tag of tags) {
    const expected = served.filter((each) => each.tag === tag.name);
    const got = collected.of(tag.index);
    expect(got.length, tag.name).toBeGreaterThanOrEqual(expected.length);
    for (const [position, each] of expected.entries()) {
      const reading = got[position]!;
      expect(reading.sourceTimeUs, tag.name).toBe(each.sourceTimeUs);
      expect(sameValue(reading.value, each.value), `${tag.name}: ${each.value} / ${reading.value}`).toBe(
        true,
      );
      expect(isBad(reading.quality)).toBe(false);
    }
    const times = got.map((reading) => reading.sourceTimeUs);
    expect(times, tag.name).toEqual([...new Set(times)].sort((a, b) => a - b));
  }
  expect(served.length).toBeGreaterThan(600);
  // Points change slower than they are sampled, so nearly every change was served, plus the first values.
  expect(served.length).toBeGreaterThan(changes * 0.97);
  expect(collected.batches.every((batch) => batch.unseen === undefined)).toBe(true);
});
