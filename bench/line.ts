import { join } from 'node:path';
import { Instance } from '../src/agent/instance.ts';
import type { Driver, Link, LinkBatch } from '../src/drivers/driver.ts';
import { openDuckdbArchive } from '../src/kernel/archive/duckdb-archive.ts';
import { KernelServer } from '../src/kernel/server.ts';
import { silentLog } from '../src/world/log.ts';
import { createClock } from '../src/world/real/clock.ts';
import { openLevelDisk } from '../src/world/real/level-disk.ts';
import { createRandom } from '../src/world/real/random.ts';
import { createTcpTransport } from '../src/world/real/tcp-transport.ts';
import type { Bench, BenchOptions, Figure } from './support/bench.ts';
import { inDirectory, rounded } from './support/measure.ts';
import { benchSite } from './support/site.ts';
import { Plant } from './support/workload.ts';

const TICK_MS = 50;
const READINGS_PER_S = 100_000;
const WARM_UP_S = 3;

const clock = createClock();
const world = {
  clock,
  random: createRandom(),
  transport: createTcpTransport(),
  log: silentLog,
  bootId: 'b'.repeat(32),
  programVersion: 'bench',
};

export const lineBench: Bench = {
  about: 'the whole line: CPU from reading to acknowledgement, agent and Kernel in one process',
  run: measure,
};

async function measure({ quick }: BenchOptions): Promise<readonly Figure[]> {
  const seconds = quick ? 5 : 20;
  const driverUs = await driverCost(seconds);
  const line = await inDirectory((directory) => lineCost(directory, seconds));
  const figure = (key: string, unit: string, about: string, value: number): Figure => ({
    ...{ key, unit, about },
    value: rounded(value),
  });
  return [
    {
      ...figure('cpuUsPerSample', 'µs', 'CPU from reading to ack, driver apart', line.us - driverUs),
      floor: { atMost: 2 },
    },
    figure('driverUsPerSample', 'µs', 'the simulated driver alone, taken off above', driverUs),
    figure('samples', 'samples', `acknowledged in ${seconds} s`, line.samples),
    figure('rssMb', 'MB', 'memory of this process', process.memoryUsage().rss / 1e6),
  ];
}

/** All readings are changes. */
class PacedDriver implements Driver {
  readonly #plant = new Plant('mixedBusy');
  readonly #scans = Array.from({ length: 100 }, () => this.#plant.scan(0));

  async connect(signal: AbortSignal): Promise<Link> {
    return {
      [Symbol.asyncIterator]: () => this.batches(signal),
      async [Symbol.asyncDispose]() {},
    };
  }

  async *batches(signal: AbortSignal): AsyncGenerator<LinkBatch> {
    let next = 0;
    let dueMs = clock.monotonicMs();
    while (!signal.aborted) {
      const sourceTimeUs = clock.wallUs();
      for (let left = (READINGS_PER_S * TICK_MS) / 1000; left > 0; left -= this.#plant.tags.length) {
        for (const { station, readings } of this.#scans[next++ % this.#scans.length] ?? []) {
          yield { station, readings: readings.map((reading) => ({ ...reading, sourceTimeUs })) };
        }
      }
      dueMs += TICK_MS;
      await clock.sleep(Math.max(0, dueMs - clock.monotonicMs()), signal).catch(() => undefined);
    }
  }
}

async function driverCost(seconds: number): Promise<number> {
  const stop = AbortSignal.timeout(seconds * 1000);
  const before = process.cpuUsage();
  let readings = 0;
  for await (const batch of new PacedDriver().batches(stop)) readings += batch.readings.length;
  return cpuUs(before) / readings;
}

async function lineCost(directory: string, seconds: number): Promise<{ us: number; samples: number }> {
  const archive = await openDuckdbArchive({ directory, memoryLimitBytes: 512e6, log: silentLog });
  const server = new KernelServer({ ...world, archive });
  const listener = await world.transport.listen({ host: '127.0.0.1', port: 0 }, (connection) =>
    server.accept(connection),
  );
  const instance = await Instance.start({
    ...world,
    ...benchSite(listener.address, { directory, ringBytes: 100e6 }),
    disk: await openLevelDisk(join(directory, 'KomA')),
    createDriver: async () => new PacedDriver(),
  });
  await clock.sleep(WARM_UP_S * 1000);
  const delivered = (): number => instance.status.backlog.counters.deliveredSamples;
  const first = delivered();
  const before = process.cpuUsage();
  await clock.sleep(seconds * 1000);
  const us = cpuUs(before);
  const samples = delivered() - first;
  await instance.stop();
  await listener.close();
  await server.close();
  await archive.close();
  if (samples < 0.8 * READINGS_PER_S * seconds) throw new Error(`only ${samples} samples were acknowledged`);
  return { us: us / samples, samples };
}

function cpuUs(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return user + system;
}
