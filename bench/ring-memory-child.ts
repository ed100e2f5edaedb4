/**
 * The peak of memory of a process that makes blocks: `node ring-memory-child.ts blocks`, and of one that puts
 * them into ring and window of the profile `small`: `… ring <directory>`. The ring is turned over once, the
 * window filled to its bound while the disk takes nothing, and both are drained from the front. Prints MB.
 */
import { readFileSync } from 'node:fs';
import { Assembler } from '../src/buffer/assembler.ts';
import { Backlog } from '../src/buffer/backlog.ts';
import { type Block, lastSequence } from '../src/domain/block/block.ts';
import { SMALL_SEGMENT_BYTES } from '../src/domain/segment-size.ts';
import { silentLog } from '../src/world/log.ts';
import { createClock } from '../src/world/real/clock.ts';
import { DICTIONARY, openBenchRing } from './ring/parts.ts';
import { Plant, START_US } from './support/workload.ts';

const CAPACITY_BYTES = 32e6;
const WINDOW_BYTES = 4e6;
const READ_BYTES = 256 * 1024;
const BLOCK_AGE_MS = 50;

const [mode = '', directory = ''] = process.argv.slice(2);
const clock = createClock();
const plant = new Plant('noise');
let scans = 0;
if (mode === 'ring') await fillAndDrain();
else await makeBlocks();
const peak = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
process.stdout.write(`${(Number(peak) * 1024) / 1e6}\n`);

async function makeBlocks(): Promise<void> {
  let bytes = 0;
  const assembler = assemblerOf('e'.repeat(32), (block) => {
    bytes += block.bytes.length;
  });
  while (bytes < CAPACITY_BYTES) await scan(assembler);
}

async function fillAndDrain(): Promise<void> {
  const ring = await openBenchRing(directory, {
    ...{ capacityBytes: CAPACITY_BYTES, segmentBytesMax: SMALL_SEGMENT_BYTES, policy: 'on-outage' },
  });
  const append = ring.append.bind(ring);
  let mayWrite = Promise.resolve();
  ring.append = async (blocks) => {
    await mayWrite;
    return await append(blocks);
  };
  const times = { clock, log: silentLog, spillAgeMs: 500 };
  const backlog = new Backlog({ ...times, ring, policy: 'on-outage', windowBytes: WINDOW_BYTES });
  const seal = (block: Block, firstMs: number) => backlog.accept(block, firstMs);
  const assembler = assemblerOf(ring.stream.streamId, seal, () => backlog.hasRoom);
  while ((ring.stat().lostByReason.evicted ?? 0) === 0) await scan(assembler);
  const held = Promise.withResolvers<void>();
  mayWrite = held.promise;
  while (backlog.hasRoom) await scan(assembler);
  held.resolve();
  backlog.linkUp();
  for (;;) {
    const blocks = await backlog.next(READ_BYTES);
    if (blocks.length === 0) break;
    for (const { header } of blocks) backlog.acknowledge(header.streamId, lastSequence(header));
  }
  await ring.close();
}

function assemblerOf(
  streamId: string,
  seal: (block: Block, firstMs: number) => void,
  hasRoom = () => true,
): Assembler {
  return new Assembler({
    ...{ streamId, dictionaryHash: DICTIONARY.hash, clock, blockAgeMs: BLOCK_AGE_MS, seal, hasRoom },
    numbered: () => {},
    overloadEnded: () => {},
  });
}

async function scan(assembler: Assembler): Promise<void> {
  for (const { readings } of plant.scan(START_US + scans * 1e6)) {
    assembler.accept(readings.map((reading) => ({ ...reading, cause: 'change' as const })));
  }
  scans += 1;
  await new Promise((resolve) => setImmediate(resolve));
}
