/**
 * An agent's buffer at a realistic pace, in a process of its own: 50,000 readings a second, all of them
 * changes, are reported, numbered, encoded and made durable, while the delay of the event loop is measured.
 * `node ring-paced-child.ts <directory> <seconds>`; prints one line of JSON.
 */
import { Assembler } from '../src/buffer/assembler.ts';
import { Backlog } from '../src/buffer/backlog.ts';
import type { Ring } from '../src/buffer/ring.ts';
import { ReportByException } from '../src/domain/report-by-exception.ts';
import { silentLog } from '../src/world/log.ts';
import { createClock } from '../src/world/real/clock.ts';
import { DICTIONARY, openBenchRing } from './ring/parts.ts';
import { delayWhile, quantile } from './support/measure.ts';
import { Plant } from './support/workload.ts';

const READINGS_PER_S = 50_000;
const TICK_MS = 20;

const [directory = '', seconds = '5'] = process.argv.slice(2);
const clock = createClock();
const plant = new Plant('mixedBusy');
// Scans made beforehand: making them is the plant's work, not the agent's.
const scans = Array.from({ length: 200 }, () => plant.scan(clock.wallUs()));
const ring = await openBenchRing(directory, { capacityBytes: 500e6 });
const appendMs: number[] = [];
const measured: Ring = Object.create(ring, {
  append: {
    value: async (...args: Parameters<Ring['append']>) => {
      const startMs = performance.now();
      const result = await ring.append(...args);
      appendMs.push(performance.now() - startMs);
      return result;
    },
  },
  stream: { value: ring.stream },
  stat: { value: () => ring.stat() },
});
const backlog = new Backlog({
  ring: measured,
  policy: 'always',
  spillAgeMs: 500,
  windowBytes: 8_000_000,
  clock,
  log: silentLog,
});
const assembler = new Assembler({
  streamId: ring.stream.streamId,
  dictionaryHash: DICTIONARY.hash,
  clock,
  blockAgeMs: 250,
  seal: (block, firstMs) => backlog.accept(block, firstMs),
  hasRoom: () => backlog.hasRoom,
  numbered: () => {},
  overloadEnded: () => {},
});
const report = new ReportByException(plant.tags, null);

const idleMs = await delayWhile(async () => await clock.sleep(2000));
const cpu = process.cpuUsage();
const busyMs = await delayWhile(ingest);
const used = process.cpuUsage(cpu);
assembler.flush();
await backlog.close();
const { samples } = ring.stat();
await ring.close();
const result = {
  samples,
  samplesPerS: samples / Number(seconds),
  appendP50Ms: quantile(appendMs, 0.5),
  appendP99Ms: quantile(appendMs, 0.99),
  appendMaxMs: quantile(appendMs, 1),
  idleDelayP99Ms: idleMs,
  eventLoopDelayP99Ms: busyMs.p99,
  eventLoopDelayMaxMs: busyMs.max,
  cpuShare: (used.user + used.system) / 1e6 / Number(seconds),
  rssMb: process.memoryUsage().rss / 1e6,
};
process.stdout.write(`${JSON.stringify({ ...result, idleDelayP99Ms: idleMs.p99 })}\n`);

async function ingest(): Promise<void> {
  const endMs = clock.monotonicMs() + Number(seconds) * 1000;
  let next = 0;
  let dueMs = clock.monotonicMs();
  while (clock.monotonicMs() < endMs) {
    const now = { wallUs: clock.wallUs(), monotonicMs: clock.monotonicMs() };
    for (let left = (READINGS_PER_S * TICK_MS) / 1000; left > 0; ) {
      const scan = scans[next++ % scans.length] ?? [];
      for (const news of scan) {
        const readings = news.readings.map((reading) => ({ ...reading, sourceTimeUs: now.wallUs }));
        assembler.accept(report.report({ ...news, readings }, now));
        left -= readings.length;
      }
    }
    dueMs += TICK_MS;
    await clock.sleep(Math.max(0, dueMs - clock.monotonicMs()));
  }
}
