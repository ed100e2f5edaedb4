import { Assembler } from '../../src/buffer/assembler.ts';
import { openRing } from '../../src/buffer/open-ring.ts';
import type { Ring, RingOptions } from '../../src/buffer/ring.ts';
import type { Block } from '../../src/domain/block/block.ts';
import { BlockBuilder } from '../../src/domain/block/builder.ts';
import type { Dictionary, EncodedDictionary } from '../../src/domain/dictionary.ts';
import { encodeDictionary } from '../../src/domain/dictionary-codec.ts';
import { ReportByException } from '../../src/domain/report-by-exception.ts';
import type { Entry, Sample } from '../../src/domain/sample.ts';
import type { Clock } from '../../src/world/clock.ts';
import { silentLog } from '../../src/world/log.ts';
import { mintId } from '../../src/world/random.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { openLevelDisk } from '../../src/world/real/level-disk.ts';
import { createRandom } from '../../src/world/real/random.ts';
import { Plant, type PlantName, START_US } from '../support/workload.ts';

export const DICTIONARY: EncodedDictionary = dictionaryOf(new Plant('mixed'));
export const SEAL_ENTRIES = 16_384;
/** Bytes in one synced write, as the backlog groups them. */
export const GROUP_BYTES = 2 * 1024 * 1024;

export function dictionaryOf(plant: Plant): EncodedDictionary {
  const dictionary: Dictionary = {
    site: 'Bench',
    process: 'KomA',
    tags: plant.tags.map((tag) => ({ ...tag, type: 'float64', unit: '', formerly: [] })),
  };
  return encodeDictionary(dictionary);
}

export async function openBenchRing(
  directory: string,
  options: Partial<RingOptions> & { readonly capacityBytes: number },
): Promise<Ring> {
  const random = createRandom();
  const ring = await openRing(await openLevelDisk(directory), {
    freeDiskFloorBytes: 0,
    policy: 'always',
    whenFull: 'drop-oldest',
    log: silentLog,
    clock: createClock(),
    mintStreamId: () => mintId(random),
    bootId: 'b'.repeat(32),
    lostAtMost: 0,
    ...options,
  });
  await ring.putDictionary(DICTIONARY);
  return ring;
}

/** Samples that a plant reports in so many scans, one list a station, as the assembler gets them. */
export function reported(name: PlantName, count: number): Entry[][] {
  const plant = new Plant(name);
  const report = new ReportByException(plant.tags, null);
  const batches: Entry[][] = [];
  let made = 0;
  for (let scan = 0; made < count; scan++) {
    const now = { wallUs: START_US + scan * 1e6, monotonicMs: scan * 1000 };
    for (const news of plant.scan(now.wallUs)) {
      const entries = report.report(news, now);
      made += entries.length;
      batches.push(entries);
    }
  }
  return batches;
}

/** Blocks of `SEAL_ENTRIES` samples, in sequence, until they have so many bytes. */
export function sealedBlocks(name: PlantName, streamId: string, bytesMin: number): Block[] {
  const builder = new BlockBuilder();
  const blocks: Block[] = [];
  const plant = new Plant(name);
  let firstSequence = 1;
  let bytes = 0;
  for (let scan = 0; bytes < bytesMin; scan++) {
    for (const { readings } of plant.scan(START_US + scan * 1e6)) {
      for (const reading of readings) builder.add({ ...reading, cause: 'change' } satisfies Sample);
      if (builder.count < SEAL_ENTRIES) continue;
      const options = { streamId, firstSequence, dictionaryHash: DICTIONARY.hash, sealedMonotonicUs: 0 };
      const block = builder.seal(options);
      firstSequence += block.header.count;
      bytes += block.bytes.length;
      blocks.push(block);
    }
  }
  return blocks;
}

/** Blocks in groups of about `GROUP_BYTES`. */
export function grouped(blocks: readonly Block[]): Block[][] {
  const groups: Block[][] = [];
  let bytes = GROUP_BYTES;
  for (const block of blocks) {
    if (bytes >= GROUP_BYTES) {
      groups.push([]);
      bytes = 0;
    }
    groups.at(-1)?.push(block);
    bytes += block.bytes.length;
  }
  return groups;
}

export function bytesOf(blocks: readonly Block[]): number {
  return blocks.reduce((sum, block) => sum + block.bytes.length, 0);
}

/** An assembler of a ring's stream without bounds, which seals as the product does. */
export function benchAssembler(
  streamId: string,
  world: { readonly clock: Clock; readonly blockAgeMs: number; readonly dictionaryHash: string },
  seal: (block: Block) => void,
): Assembler {
  return new Assembler({
    ...world,
    streamId,
    seal,
    hasRoom: () => true,
    numbered: () => {},
    overloadEnded: () => {},
  });
}
