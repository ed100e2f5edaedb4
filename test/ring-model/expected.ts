import { ackedOf, heldRanges, lostRanges, type Model, unacknowledged } from './model.ts';

/** Everything that can be seen of a ring from outside. */
export interface Expected {
  readonly read: readonly unknown[];
  readonly held: readonly unknown[];
  readonly lost: readonly unknown[];
  readonly running: readonly unknown[];
  readonly figures: readonly number[];
}

export function expectedOf(model: Model): Expected {
  const running = model.streams.at(-1);
  const unread = unacknowledged(model);
  const counted = (blocks: readonly { first: number; last: number }[]) =>
    blocks.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  return {
    read: unread.map(({ position, streamId, first, last }) => [position, streamId, first, last - first + 1]),
    held: model.streams.flatMap(({ streamId }) => {
      const held = heldRanges(model, streamId);
      return held.length === 0 ? [] : [[streamId, held]];
    }),
    lost: model.streams
      .flatMap((stream) =>
        lostRanges(stream).map(({ first, last, reason }) => [stream.streamId, first, last, reason] as const),
      )
      .sort(([a, firstA], [b, firstB]) => (a === b ? firstA - firstB : a < b ? -1 : 1)),
    running: [running?.streamId, running?.acked],
    figures: [
      counted(model.blocks),
      model.blocks.length,
      model.segments.length,
      unread.reduce(
        (sum, { streamId, first, last }) => sum + last - Math.max(first - 1, ackedOf(model, streamId)),
        0,
      ),
    ],
  };
}
