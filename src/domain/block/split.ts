import type { DecodedBlock } from './block.ts';

/**
 * A decoded block cut in two behind its first `count` entries, sharing its memory. The time span of the
 * header is that of the whole block.
 */
export function splitBlock(block: DecodedBlock, count: number): readonly [DecodedBlock, DecodedBlock] {
  return [part(block, 0, count), part(block, count, block.header.count)];
}

function part(block: DecodedBlock, from: number, to: number): DecodedBlock {
  const within = <T>(values: ReadonlyMap<number, T>): Map<number, T> => {
    const inside = [...values].filter(([at]) => at >= from && at < to);
    return new Map(inside.map(([at, value]) => [at - from, value]));
  };
  const { header } = block;
  return {
    header: { ...header, firstSequence: header.firstSequence + from, count: to - from },
    tagIndexes: block.tagIndexes.subarray(from, to),
    sourceTimesUs: block.sourceTimesUs.subarray(from, to),
    kinds: block.kinds.subarray(from, to),
    qualities: block.qualities.subarray(from, to),
    integers: block.integers.subarray(from, to),
    floats: block.floats.subarray(from, to),
    texts: within(block.texts),
    deviceTimesUs: within(block.deviceTimesUs),
  };
}
