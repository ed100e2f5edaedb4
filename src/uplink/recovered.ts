import type { Block } from '../domain/block/block.ts';
import { edgesOf } from '../domain/block/edges.ts';
import { gapAround, type SequenceGap } from '../domain/gap.ts';
import type { BlockStore } from './block-source.ts';

/** A piece of what was lost, and what of it comes behind; `null`: it is the last one. */
export type Recovered = { readonly rest: SequenceGap | null } & (
  | { readonly block: Block }
  | { readonly gap: SequenceGap }
);

/**
 * What is to be sent of a range that a Kernel lost after it had acknowledged it, in order: the blocks that
 * are still held, and between them gap records that end where the blocks begin.
 */
export async function* recovered(
  lost: SequenceGap,
  backlog: Pick<BlockStore, 'recorded' | 'firstBehind'>,
  limitBytes: () => Promise<number>,
): AsyncGenerator<Recovered> {
  const { streamId, lastSequence: last } = lost;
  let rest: SequenceGap | null = lost;
  while (rest !== null) {
    const blocks: readonly Block[] = await backlog.recorded(
      streamId,
      { first: rest.firstSequence, last },
      await limitBytes(),
    );
    if (blocks.length === 0) break;
    for (const block of blocks) {
      if (rest === null) break;
      const { before, behind } = gapAround(rest, edgesOf(block));
      if (before !== null) yield { gap: before, rest };
      yield { block, rest: behind };
      rest = behind;
    }
  }
  if (rest === null) return;
  const next = await backlog.firstBehind(streamId, last);
  yield { gap: (next && gapAround(rest, edgesOf(next)).before) ?? rest, rest: null };
}
