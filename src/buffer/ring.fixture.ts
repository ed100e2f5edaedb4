import type { Block } from '../domain/block/block.ts';
import { encodeBlock } from '../domain/block/codec.ts';
import {
  type Coverage,
  coverWithData,
  coverWithGap,
  joinTouching,
  type SequenceRange,
} from '../domain/coverage.ts';
import { encodeDictionary } from '../domain/dictionary-codec.ts';
import type { Sample } from '../domain/sample.ts';
import type { Clock } from '../world/clock.ts';
import { silentLog } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import { mintId } from '../world/random.ts';
import type { Disk } from '../world/store.ts';
import { openRing } from './open-ring.ts';
import type { Ring, RingOptions, RingRead } from './ring.ts';

export const DICTIONARY_HASH = 'd'.repeat(32);
export const START_US = 1_767_225_600_000_000;

/** For tests: opens a ring of 100 kB on a disk, whose segments take about ten blocks of `blockOf`. */
export function openTestRing(
  disk: Disk,
  world: { readonly clock: Clock; readonly random: Random },
  options: Partial<RingOptions> = {},
): Promise<Ring> {
  return openRing(disk, {
    capacityBytes: 100_000,
    freeDiskFloorBytes: 0,
    policy: 'always',
    whenFull: 'drop-oldest',
    log: silentLog,
    clock: world.clock,
    mintStreamId: () => mintId(world.random),
    bootId: 'b'.repeat(32),
    lostAtMost: 500,
    ...options,
  });
}

/** A block of `count` samples whose bytes depend on nothing but the stream and the first sequence. */
export function blockOf(streamId: string, firstSequence: number, count = 10, textBytes = 900): Block {
  const samples = Array.from({ length: count }, (_, at): Sample => {
    const sequence = firstSequence + at;
    return {
      tagIndex: 0,
      sourceTimeUs: START_US + sequence * 1000,
      value: at === 0 ? noise(`${streamId}/${sequence}`, textBytes) : sequence,
      quality: 0,
      cause: 'change',
    };
  });
  return encodeBlock(samples, {
    streamId,
    firstSequence,
    dictionaryHash: DICTIONARY_HASH,
    sealedMonotonicUs: firstSequence,
  });
}

/** Labels the samples of small blocks. */
export const SMALL_DICTIONARY = encodeDictionary({
  site: 's',
  process: 'p',
  tags: Array.from({ length: 7 }, (_, at) => ({
    name: `t${at}`,
    station: 's',
    class: 'measurement',
    type: 'float64',
    unit: '',
    formerly: [],
  })),
});

/** The sample that a number has in a small block, whatever block it is in. */
export function smallSample(sequence: number): Sample {
  const mixed = Math.imul(sequence ^ (sequence >>> 3), 0x9e37_79b1);
  const value = ((Math.imul(mixed ^ (mixed >>> 15), 0x85eb_ca6b) >>> 8) % 30_000) / 10;
  return {
    tagIndex: sequence % 7,
    sourceTimeUs: START_US + sequence * 1000,
    value,
    quality: 0,
    cause: 'change',
  };
}

/** A block that is worth joining with others: a few numbers. */
export function smallBlock(streamId: string, firstSequence: number, count = 8): Block {
  const samples = Array.from({ length: count }, (_, at) => smallSample(firstSequence + at));
  return encodeBlock(samples, {
    streamId,
    firstSequence,
    dictionaryHash: SMALL_DICTIONARY.hash,
    sealedMonotonicUs: firstSequence,
  });
}

/** Consecutive blocks from one number to another. */
export function smallBlocks(ring: Ring, first: number, last: number, count = 8): Block[] {
  const blocks: Block[] = [];
  for (let at = first; at <= last; at += count) {
    blocks.push(smallBlock(ring.stream.streamId, at, Math.min(count, last - at + 1)));
  }
  return blocks;
}

/** Consecutive blocks of ten samples, from block number `from` to `to`: block 1 has the sequences 1 to 10. */
export function blocksOf(ring: Ring, from: number, to: number): Block[] {
  return Array.from({ length: to - from + 1 }, (_, at) =>
    blockOf(ring.stream.streamId, (from + at - 1) * 10 + 1),
  );
}

/** Everything that is not acknowledged, read in steps. */
export async function drained(ring: Ring, limitBytes = 5000): Promise<RingRead['blocks']> {
  const blocks: RingRead['blocks'][number][] = [];
  let after: number | null = null;
  for (;;) {
    const read: RingRead = await ring.readUnacknowledged(after, limitBytes);
    blocks.push(...read.blocks);
    after = read.after;
    if (!read.more) return blocks;
  }
}

/** The sequences of blocks, by stream. */
export function sequencesOf(blocks: RingRead['blocks']): Map<string, SequenceRange[]> {
  const ranges = new Map<string, SequenceRange[]>();
  for (const { block } of blocks) {
    const { streamId, firstSequence, count } = block.header;
    const before = ranges.get(streamId) ?? [];
    ranges.set(
      streamId,
      joinTouching([...before, { first: firstSequence, last: firstSequence + count - 1 }]),
    );
  }
  return ranges;
}

/** Text that no compression shortens, the same for the same seed. */
function noise(seed: string, length: number): string {
  let state = 2166136261;
  for (const letter of seed) state = Math.imul(state ^ letter.charCodeAt(0), 16777619);
  let text = '';
  for (let at = 0; at < length; at += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    text += String.fromCharCode(33 + ((state >>> 16) % 90));
  }
  return text;
}

/** What a Kernel would cover of a stream if it got everything that the ring has, blocks and gaps. */
export async function coverageOf(ring: Ring, streamId: string): Promise<Coverage> {
  let coverage: Coverage = [];
  for (const range of sequencesOf(await drained(ring)).get(streamId) ?? []) {
    coverage = coverWithData(coverage, range).coverage;
  }
  for (const gap of ring.gaps().filter((each) => each.streamId === streamId)) {
    const range = { first: gap.firstSequence, last: gap.lastSequence };
    coverage = coverWithGap(coverage, range, gap.reason).coverage;
  }
  return coverage;
}
