/**
 * An agent with a backlog: `node agent-child.ts <directory> <samples>` fills the ring, then waits for the
 * Kernel's port and drains.
 */
import { join } from 'node:path';
import { Instance } from '../src/agent/instance.ts';
import { BlockBuilder } from '../src/domain/block/builder.ts';
import type { SampleValue } from '../src/domain/sample.ts';
import type { Driver, Link, LinkBatch } from '../src/drivers/driver.ts';
import { silentLog } from '../src/world/log.ts';
import { createClock } from '../src/world/real/clock.ts';
import { openLevelDisk } from '../src/world/real/level-disk.ts';
import { createRandom } from '../src/world/real/random.ts';
import { createTcpTransport } from '../src/world/real/tcp-transport.ts';
import type { AgentAnswer } from './drain/messages.ts';
import { DICTIONARY, GROUP_BYTES, openBenchRing, SEAL_ENTRIES } from './ring/parts.ts';
import { benchSite } from './support/site.ts';
import { Plant } from './support/workload.ts';

const RING_BYTES = 2e9;
/** Scans that are made beforehand and taken again and again, at new times. */
const MADE_SCANS = 100;
const POLL_MS = 20;

const [directory = '', count = ''] = process.argv.slice(2);
const ringDirectory = join(directory, 'KomA');
const clock = createClock();
const plant = new Plant('mixedBusy');
const scans = Array.from({ length: MADE_SCANS }, () => plant.scan(0));

let rssMax = 0;
setInterval(() => {
  rssMax = Math.max(rssMax, process.memoryUsage.rss());
}, POLL_MS).unref();

send(await fill(Number(count)));
process.once('message', async (port: number) => {
  send(await drain(port));
  process.once('message', async () => {
    await stop?.();
    send({ kind: 'stopped' });
    process.disconnect();
  });
});

let stop: (() => Promise<void>) | undefined;

/** A run of its own, hours ago, that ended cleanly: a scan a second. */
async function fill(samples: number): Promise<AgentAnswer> {
  const startUs = clock.wallUs() - (samples / plant.tags.length + 60) * 1e6;
  const ring = await openBenchRing(ringDirectory, { capacityBytes: RING_BYTES, policy: 'on-outage' });
  const { streamId } = ring.stream;
  const builder = new BlockBuilder();
  let firstSequence = 1;
  let bytes = 0;
  let group: ReturnType<BlockBuilder['seal']>[] = [];
  let groupBytes = 0;
  for (let scan = 0; firstSequence <= samples; scan++) {
    for (const { readings } of scans[scan % MADE_SCANS] ?? []) {
      const sourceTimeUs = Math.floor(startUs + scan * 1e6) + (readings[0]?.tagIndex ?? 0) * 140;
      for (const reading of readings) builder.add({ ...reading, sourceTimeUs, cause: 'change' });
    }
    if (builder.count < SEAL_ENTRIES && firstSequence + builder.count <= samples) continue;
    const block = builder.seal({
      ...{ streamId, firstSequence, dictionaryHash: DICTIONARY.hash, sealedMonotonicUs: 0 },
    });
    firstSequence += block.header.count;
    group.push(block);
    groupBytes += block.bytes.length;
    bytes += block.bytes.length;
    if (groupBytes < GROUP_BYTES) continue;
    await ring.append(group);
    group = [];
    groupBytes = 0;
  }
  if (group.length > 0) await ring.append(group);
  await ring.endStream(firstSequence - 1, clock.wallUs());
  await ring.close();
  return { kind: 'filled', samples: firstSequence - 1, bytes };
}

/** From the first session until everything that was there is acknowledged; live values go on meanwhile. */
async function drain(port: number): Promise<AgentAnswer> {
  rssMax = 0;
  const world = {
    ...{ clock, random: createRandom(), transport: createTcpTransport(), log: silentLog },
    ...{ bootId: 'b'.repeat(32), programVersion: 'bench' },
  };
  const settings = { directory, ringBytes: RING_BYTES };
  const instance = await Instance.start({
    ...world,
    ...benchSite({ host: '127.0.0.1', port }, settings),
    disk: await openLevelDisk(ringDirectory),
    createDriver: async () => new SteadyDriver(),
  });
  stop = () => instance.stop();
  const held = instance.status.backlog.samples;
  while (instance.status.uplink.kernel === null) await clock.sleep(1);
  send({ kind: 'connected' });
  const startMs = performance.now();
  const before = process.cpuUsage();
  while (instance.status.backlog.state !== 'online') await clock.sleep(POLL_MS);
  const { user, system } = process.cpuUsage(before);
  const seconds = (performance.now() - startMs) / 1000;
  return { kind: 'drained', samples: held, seconds, cpuUs: user + system, rssMax };
}

/** The first station ten times a second, the others once. */
class SteadyDriver implements Driver {
  async connect(signal: AbortSignal): Promise<Link> {
    return { [Symbol.asyncIterator]: () => this.batches(signal), async [Symbol.asyncDispose]() {} };
  }

  async *batches(signal: AbortSignal): AsyncGenerator<LinkBatch> {
    for (let tick = 0; !signal.aborted; tick++) {
      const sourceTimeUs = clock.wallUs();
      for (const [at, { station, readings }] of (scans[tick % MADE_SCANS] ?? []).entries()) {
        if (at > 0 && tick % 10 !== at % 10) continue;
        const value = (index: number, read: SampleValue) => (index === 0 ? tick : read);
        yield {
          station,
          readings: readings.map((reading) => ({
            ...reading,
            sourceTimeUs,
            value: value(reading.tagIndex, reading.value),
          })),
        };
      }
      await clock.sleep(100, signal).catch(() => undefined);
    }
  }
}

function send(answer: AgentAnswer): void {
  process.send?.(answer);
}
