/**
 * Seals a segment of small blocks in a process of its own, and measures the delay of the event loop while
 * they are joined: `node ring-join-child.ts <directory> <bytes of a segment>`; prints one line of JSON.
 */
import { createClock } from '../src/world/real/clock.ts';
import { scanBlocks } from './ring/joined.ts';
import { openBenchRing } from './ring/parts.ts';
import { delayWhile, quantile } from './support/measure.ts';

const SAMPLE_BYTES_MIN = 3.5;
const APPEND_EVERY_MS = 250;

const [directory = '', bytes = ''] = process.argv.slice(2);
const segmentBytes = Number(bytes);
const clock = createClock();
const ring = await openBenchRing(directory, { capacityBytes: 100e6, segmentBytesMax: segmentBytes });
const blocks = scanBlocks(ring.stream.streamId, segmentBytes / SAMPLE_BYTES_MIN);
const appendMs: number[] = [];
const idle = await delayWhile(() => clock.sleep(10_000));
while (ring.stat().segments < 2) await ring.append(blocks.splice(0, 100));
const isSealedSmall = () => (ring.facts().segments[0]?.blocks ?? 0) > 1000;
if (!isSealedSmall()) throw new Error('no segment of small blocks was sealed');
const startMs = clock.monotonicMs();
const cpu = process.cpuUsage();
const delays = await delayWhile(async () => {
  while (isSealedSmall()) {
    const askedMs = clock.monotonicMs();
    await ring.append(blocks.splice(0, 1));
    appendMs.push(clock.monotonicMs() - askedMs);
    await clock.sleep(APPEND_EVERY_MS);
  }
});
const used = process.cpuUsage(cpu);
const seconds = (clock.monotonicMs() - startMs) / 1000;
await ring.close();
const result = {
  seconds,
  delayP99Ms: delays.p99,
  delayMaxMs: delays.max,
  idleDelayP99Ms: idle.p99,
  idleDelayMaxMs: idle.max,
  cpuShare: (used.user + used.system) / 1e6 / seconds,
  appendMaxMs: quantile(appendMs, 1),
};
process.stdout.write(`${JSON.stringify(result)}\n`);
