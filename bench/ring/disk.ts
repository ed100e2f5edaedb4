import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Ring } from '../../src/buffer/ring.ts';
import type { Block } from '../../src/domain/block/block.ts';
import { ReportByException } from '../../src/domain/report-by-exception.ts';
import { openLevelDisk } from '../../src/world/real/level-disk.ts';
import { SimulatedClock } from '../../src/world/simulated/clock.ts';
import type { Disk } from '../../src/world/store.ts';
import { flashBytes, inDirectory, timed } from '../support/measure.ts';
import { Plant, type PlantName } from '../support/workload.ts';
import {
  benchAssembler,
  bytesOf,
  dictionaryOf,
  grouped,
  openBenchRing,
  reported,
  sealedBlocks,
} from './parts.ts';

const SCAN_MS = 1000;
const BLOCK_AGE_MS = 250;
const ALIVE_MARK_MS = 5000;

/** What a ring that was filled at a site's pace takes. */
export interface PacedDisk {
  /** On the disk when the ring is closed. */
  readonly diskBytesPerSample: number;
  /** Given to the disk on the way, pages and journal of LevelDB included; `null` where nobody counts it. */
  readonly flashBytesPerSample: number | null;
}

export interface PacedOptions {
  readonly capacityBytes: number;
  /** The outage is over. */
  readonly isEnough: (ring: Ring) => boolean;
}

/**
 * An outage of a site on virtual time: its scans, its report by exception, its blocks by age, each block
 * durable by itself, its alive marks.
 */
export async function pacedDisk(name: PlantName, options: PacedOptions): Promise<PacedDisk> {
  const { capacityBytes, isEnough } = options;
  return await inDirectory(async (directory) => {
    const clock = new SimulatedClock();
    const plant = new Plant(name);
    const dictionary = dictionaryOf(plant);
    const ring = await openBenchRing(directory, { capacityBytes, clock, policy: 'on-outage' });
    await ring.putDictionary(dictionary);
    const sealed: Block[] = [];
    const world = { clock, blockAgeMs: BLOCK_AGE_MS, dictionaryHash: dictionary.hash };
    const assembler = benchAssembler(ring.stream.streamId, world, (block) => sealed.push(block));
    const report = new ReportByException(plant.tags, null);
    const before = flashBytes();
    for (let scan = 0; !isEnough(ring); scan++) {
      const now = { wallUs: clock.wallUs(), monotonicMs: clock.monotonicMs() };
      for (const news of plant.scan(now.wallUs)) assembler.accept(report.report(news, now));
      await clock.advance(SCAN_MS);
      if (sealed.length > 0) await ring.append(sealed.splice(0));
      if ((scan * SCAN_MS) % ALIVE_MARK_MS === 0) {
        await ring.markAlive(clock.wallUs(), assembler.nextSequence);
      }
    }
    const after = flashBytes();
    const { samples } = ring.stat();
    await ring.close();
    const disk = await openLevelDisk(directory);
    const diskBytesPerSample = (await usedBytes(disk, 'segment-')) / samples;
    const flash = before === null || after === null ? null : (after - before) / samples;
    return { diskBytesPerSample, flashBytesPerSample: flash };
  });
}

/** Bytes a sample in full blocks, on the disk. */
export async function fullBlockBytes(name: PlantName, samplesMin: number): Promise<number> {
  const entries = reported(name, samplesMin).flat();
  return await inDirectory(async (directory) => {
    const ring = await openBenchRing(directory, { capacityBytes: 500e6 });
    const blocks: Block[] = [];
    const world = { clock: new SimulatedClock(), blockAgeMs: 1e9, dictionaryHash: 'd'.repeat(32) };
    const assembler = benchAssembler(ring.stream.streamId, world, (block) => blocks.push(block));
    assembler.accept(entries);
    assembler.flush();
    for (const group of grouped(blocks)) await ring.append(group);
    await ring.close();
    return (await usedBytes(await openLevelDisk(directory), 'segment-')) / entries.length;
  });
}

export interface Turns {
  readonly worstVsCapacity: number;
  readonly writeAmplification: number | null;
}

/** Five turns of a ring from which nothing is taken, as `du` sees it while it runs. */
export async function measureTurns(capacityBytes: number): Promise<Turns> {
  return await inDirectory(async (directory) => {
    const ring = await openBenchRing(directory, { capacityBytes });
    const disk = await openLevelDisk(directory);
    const turn = sealedBlocks('noise', ring.stream.streamId, 5 * capacityBytes);
    const before = flashBytes();
    let worst = 0;
    for (const group of grouped(turn)) {
      await ring.append(group);
      worst = Math.max(worst, await usedBytes(disk));
    }
    const after = flashBytes();
    await ring.close();
    worst = Math.max(worst, await usedBytes(disk));
    const written = before === null || after === null ? null : after - before;
    return {
      worstVsCapacity: worst / capacityBytes,
      writeAmplification: written === null ? null : written / bytesOf(turn),
    };
  });
}

/** A ring is filled by a process that kills itself; then it is opened here. Milliseconds. */
export async function measureReopen(capacityBytes: number): Promise<number> {
  return await inDirectory(async (directory) => {
    const path = fileURLToPath(new URL('../ring-fill-child.ts', import.meta.url));
    const child: ChildProcess = fork(path, [directory, String(capacityBytes)], { stdio: 'inherit' });
    await once(child, 'exit');
    let ring: Ring | undefined;
    const { seconds } = await timed(async () => {
      ring = await openBenchRing(directory, { capacityBytes });
    });
    const held = ring?.stat().diskBytes ?? 0;
    await ring?.close();
    if (held < 0.9 * capacityBytes) throw new Error(`the ring was not full: ${held} bytes`);
    return seconds * 1000;
  });
}

/** Bytes in the databases whose name begins so: `meta`, of at most 4 MB, is no matter of samples. */
export async function usedBytes(disk: Disk, prefix = ''): Promise<number> {
  let bytes = 0;
  for (const name of await disk.list()) if (name.startsWith(prefix)) bytes += await disk.usedBytes(name);
  return bytes;
}
