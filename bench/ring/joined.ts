import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Ring } from '../../src/buffer/ring.ts';
import type { Block } from '../../src/domain/block/block.ts';
import { encodeBlock } from '../../src/domain/block/codec.ts';
import { SimulatedClock } from '../../src/world/simulated/clock.ts';
import { flashBytes, inDirectory } from '../support/measure.ts';
import type { PlantName } from '../support/workload.ts';
import { type PacedDisk, pacedDisk } from './disk.ts';
import { bytesOf, DICTIONARY, grouped, openBenchRing, reported } from './parts.ts';

const READ_BYTES = 1024 * 1024;
/** Stations of a plant answer one after the other in a scan. */
const STATIONS = 20;

/** As blocks are when they come: all of them in the segment that is written to. */
export function pacedOpen(name: PlantName, samplesMin: number): Promise<PacedDisk> {
  const isEnough = (ring: Ring) => ring.stat().samples >= samplesMin;
  return pacedDisk(name, { capacityBytes: 100e6, isEnough });
}

/** As they lie there: so many segments are sealed, and the one that is written to is half full. */
export function pacedAtRest(name: PlantName, segmentBytes: number, sealed: number): Promise<PacedDisk> {
  const isEnough = (ring: Ring) => {
    const { segments } = ring.facts();
    return segments.length > sealed && (segments.at(-1)?.bytes ?? 0) >= segmentBytes / 2;
  };
  return pacedDisk(name, { capacityBytes: 10 * segmentBytes, isEnough });
}

/** Blocks of one scan each. */
export function scanBlocks(streamId: string, samplesMin: number): Block[] {
  const batches = reported('mixed', samplesMin);
  const blocks: Block[] = [];
  let firstSequence = 1;
  for (let at = 0; at < batches.length; at += STATIONS) {
    const entries = batches.slice(at, at + STATIONS).flat();
    if (entries.length === 0) continue;
    const options = { streamId, firstSequence, dictionaryHash: DICTIONARY.hash, sealedMonotonicUs: 0 };
    blocks.push(encodeBlock(entries, options));
    firstSequence += entries.length;
  }
  return blocks;
}

/**
 * Bytes to the file system against bytes of blocks, for small blocks that are joined and then read. They come
 * in groups of `GROUP_BYTES`, so that the pages of single syncs do not count.
 */
export async function joinedWriteAmplification(samples: number): Promise<number | null> {
  return await inDirectory(async (directory) => {
    const clock = new SimulatedClock();
    const options = { capacityBytes: 100e6, segmentBytesMax: 2e6, clock };
    const ring = await openBenchRing(directory, options);
    const blocks = scanBlocks(ring.stream.streamId, samples);
    const before = flashBytes();
    for (const group of grouped(blocks)) {
      await ring.append(group);
      await rested(ring, clock);
    }
    for (let after: number | null = null; ; ) {
      const read = await ring.readUnacknowledged(after, READ_BYTES);
      after = read.after;
      if (!read.more) break;
    }
    await ring.close();
    const after = flashBytes();
    return before === null || after === null ? null : (after - before) / bytesOf(blocks);
  });
}

/** Lets time go on until no sealed segment has small blocks any more. */
async function rested(ring: Ring, clock: SimulatedClock): Promise<void> {
  const isSmall = () =>
    ring.facts().segments.some(({ state, blocks, samples }) => state === 'sealed' && samples < 1000 * blocks);
  while (isSmall()) {
    await clock.advance(20);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

export interface JoinDelays {
  readonly seconds: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
  /** Of the same process before, while it did nothing. */
  readonly idleDelayP99Ms: number;
  readonly idleDelayMaxMs: number;
  readonly cpuShare: number;
  readonly appendMaxMs: number;
}

/** What a process notices of it that does nothing else but to append a block each second. */
export async function measureJoin(segmentBytes: number): Promise<JoinDelays> {
  const path = fileURLToPath(new URL('../ring-join-child.ts', import.meta.url));
  return await inDirectory(async (directory) => {
    const { stdout } = await promisify(execFile)(process.execPath, [path, directory, String(segmentBytes)]);
    return JSON.parse(stdout) as JoinDelays;
  });
}
