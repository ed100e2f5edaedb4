import { Assembler } from '../../src/buffer/assembler.ts';
import { Backlog } from '../../src/buffer/backlog.ts';
import type { Ring } from '../../src/buffer/ring.ts';
import { decodeBlock } from '../../src/domain/block/codec.ts';
import { ReportByException, type StationNews } from '../../src/domain/report-by-exception.ts';
import type { Entry } from '../../src/domain/sample.ts';
import { silentLog } from '../../src/world/log.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { inDirectory, timed } from '../support/measure.ts';
import { Plant, START_US } from '../support/workload.ts';
import { DICTIONARY, openBenchRing, reported } from './parts.ts';

const WINDOW_BYTES = 16_000_000;
const BLOCK_AGE_MS = 250;
/** Samples that are made beforehand and taken again and again. */
const MADE_SAMPLES = 300_000;
const READ_BYTES = 1024 * 1024;

export interface IngestRates {
  readonly samplesPerS: number;
  readonly cpuUsPerSample: number;
  readonly replaySamplesPerS: number;
  readonly blockBytesPerSample: number;
  /** Readings a second through report-by-exception alone, every one a change. */
  readonly reportPerS: number;
}

/** Samples to assembler to backlog to ring, nobody takes anything from it: each group is durable. */
export async function measureIngest(count: number): Promise<IngestRates> {
  const batches = reported('mixedBusy', MADE_SAMPLES);
  return await inDirectory(async (directory) => {
    const ring = await openBenchRing(directory, { capacityBytes: 2e9 });
    const { assembler, backlog } = productPath(ring);
    await feed({ assembler, backlog, batches, count: 2 * MADE_SAMPLES });
    const before = ring.stat().samples;
    const ingest = await timed(async () => {
      await feed({ assembler, backlog, batches, count });
      assembler.flush();
      await backlog.close();
    });
    const samples = ring.stat().samples - before;
    const replay = await timed(() => replayed(ring));
    const { writtenBytes } = ring.stat();
    await ring.close();
    return {
      samplesPerS: samples / ingest.seconds,
      cpuUsPerSample: (ingest.cpuSeconds * 1e6) / samples,
      replaySamplesPerS: replay.result / replay.seconds,
      blockBytesPerSample: writtenBytes / (samples + before),
      reportPerS: await reportRate(),
    };
  });
}

function productPath(ring: Ring): { assembler: Assembler; backlog: Backlog } {
  const clock = createClock();
  const backlog = new Backlog({
    ring,
    policy: 'always',
    spillAgeMs: 500,
    windowBytes: WINDOW_BYTES,
    clock,
    log: silentLog,
  });
  const assembler = new Assembler({
    streamId: ring.stream.streamId,
    dictionaryHash: DICTIONARY.hash,
    clock,
    blockAgeMs: BLOCK_AGE_MS,
    seal: (block, firstMs) => backlog.accept(block, firstMs),
    hasRoom: () => backlog.hasRoom,
    numbered: () => {},
    overloadEnded: () => {},
  });
  return { assembler, backlog };
}

interface Feed {
  readonly assembler: Assembler;
  readonly backlog: Backlog;
  readonly batches: readonly Entry[][];
  readonly count: number;
}

async function feed({ assembler, backlog, batches, count }: Feed): Promise<void> {
  const end = assembler.nextSequence + count;
  for (let at = 0; assembler.nextSequence < end; at = (at + 1) % batches.length) {
    // A batch comes from a socket: the loop turns between them, and a full window is waited for.
    if (at % 20 === 0) await new Promise(setImmediate);
    while (!backlog.hasRoom) await new Promise(setImmediate);
    assembler.accept(batches[at] ?? []);
  }
}

async function replayed(ring: Ring): Promise<number> {
  let samples = 0;
  let after: number | null = null;
  for (;;) {
    const read = await ring.readUnacknowledged(after, READ_BYTES);
    for (const { block } of read.blocks) samples += decodeBlock(block).header.count;
    after = read.after;
    if (!read.more) return samples;
  }
}

async function reportRate(): Promise<number> {
  const plant = new Plant('noise');
  const scans: StationNews[][] = Array.from({ length: 100 }, (_, scan) => plant.scan(START_US + scan * 1e6));
  const report = new ReportByException(plant.tags, null);
  let samples = 0;
  const rounds = 10;
  const { seconds } = await timed(() => {
    for (let round = 0; round < rounds; round++) {
      for (const [at, scan] of scans.entries()) {
        const scanMs = (round * scans.length + at) * 1000;
        const now = { wallUs: START_US + scanMs * 1000, monotonicMs: scanMs };
        for (const news of scan) samples += report.report(news, now).length;
      }
    }
  });
  return samples / seconds;
}
