/**
 * The ring as a list of blocks: what README.md promises, with nothing of LevelDB, of `meta`, or of recovery.
 * A model is a value; every step gives a new one.
 */

import { RECORD_OVERHEAD_BYTES } from '../../src/buffer/record.ts';
import { type Block, lastSequence } from '../../src/domain/block/block.ts';
import { joinTouching, type SequenceRange } from '../../src/domain/coverage.ts';
import type { SequenceGapReason } from '../../src/domain/gap.ts';

export interface ModelBlock {
  readonly streamId: string;
  readonly first: number;
  readonly last: number;
  readonly position: number;
  readonly segment: number;
  /** What the ring counts for it on disk. */
  readonly diskBytes: number;
  /** What a read counts for it. */
  readonly readBytes: number;
}

export interface ModelStream {
  readonly streamId: string;
  /** Highest number stored or refused. */
  readonly durable: number;
  readonly acked: number;
  /** As of the last thing that was made durable beside blocks. */
  readonly ackedDurable: number;
  readonly aliveUs: number;
  /** Last number of a clean end, or of one that would be clean because the instance stands by. */
  readonly endedAt: number | null;
  /** Why a number is lost. */
  readonly lost: ReadonlyMap<number, SequenceGapReason>;
}

export interface Model {
  /** In ring order. */
  readonly blocks: readonly ModelBlock[];
  /** Numbers of segments, oldest first; the last one may be open. */
  readonly segments: readonly number[];
  readonly open: number | null;
  readonly nextSegment: number;
  readonly nextPosition: number;
  /** Oldest first; the last one runs. */
  readonly streams: readonly ModelStream[];
}

export interface ModelRules {
  readonly capacityBytes: number;
  readonly segmentBytes: number;
  readonly policy: 'always' | 'on-outage';
  readonly whenFull: 'drop-oldest' | 'refuse-newest';
}

export const EMPTY_MODEL: Model = {
  blocks: [],
  segments: [],
  open: null,
  nextSegment: 1,
  nextPosition: 1,
  streams: [],
};

/** A start: what was not durable is forgotten, and a stream begins. */
export function started(model: Model, streamId: string, atUs: number, rules: ModelRules): Model {
  const streams = model.streams.map((each) => ({ ...each, acked: each.ackedDurable }));
  const fresh: ModelStream = {
    streamId,
    durable: 0,
    acked: 0,
    ackedDurable: 0,
    // Until it has a mark of its own, a run vouches for no more than the one before it.
    aliveUs: streams.at(-1)?.aliveUs ?? atUs,
    endedAt: null,
    lost: new Map(),
  };
  const next: Model = { ...model, streams: [...streams, fresh] };
  if (rules.policy === 'always') return next;
  const settled = next.segments.filter(
    (segment) => blocksIn(next, segment).length > 0 && isAcked(next, segment),
  );
  return settled.reduce(without, next);
}

/** Every state that the ring goes through in one append, as far as a crash can tell: first to last. */
export function appendSteps(model: Model, blocks: readonly Block[], rules: ModelRules): Model[] {
  const steps: Model[] = [model];
  let now = model;
  let left = blocks.slice();
  while (left.length > 0) {
    const taken = left.slice(0, fitting(now, left, rules));
    if (taken.length > 0) {
      now = taken.reduce(stored, now);
      left = left.slice(taken.length);
    } else {
      const rotated = withNewSegment(now, sizeOf(left[0]), rules);
      now = rotated ?? withRefused(now, left);
      if (rotated === null) left = [];
    }
    steps.push(now);
  }
  return steps;
}

export function acknowledged(model: Model, streamId: string, through: number, rules: ModelRules): Model {
  const current = model.streams.at(-1)?.streamId;
  const next = withStream(model, streamId, (each) => {
    const isClamped = rules.policy === 'always' && streamId === current;
    return { ...each, acked: Math.max(each.acked, isClamped ? Math.min(through, each.durable) : through) };
  });
  if (rules.policy === 'always') return next;
  const settled = next.segments.filter((segment) => segment !== next.open && isAcked(next, segment));
  return settled.length === 0 ? next : committed(settled.reduce(without, next));
}

/** Acknowledged watermarks become durable. */
export function committed(model: Model): Model {
  return { ...model, streams: model.streams.map((each) => ({ ...each, ackedDurable: each.acked })) };
}

export function withLost(
  model: Model,
  range: SequenceRange & { readonly streamId: string },
  reason: SequenceGapReason,
): Model {
  return withStream(model, range.streamId, (each) => {
    const lost = new Map(each.lost);
    for (let at = range.first; at <= range.last; at += 1) if (!lost.has(at)) lost.set(at, reason);
    return { ...each, lost };
  });
}

export function withStream(
  model: Model,
  streamId: string,
  change: (stream: ModelStream) => ModelStream,
): Model {
  return {
    ...model,
    streams: model.streams.map((each) => (each.streamId === streamId ? change(each) : each)),
  };
}

export function ackedOf(model: Model, streamId: string): number {
  return model.streams.find((each) => each.streamId === streamId)?.acked ?? 0;
}

/** What a reader is to get, in order. */
export function unacknowledged(model: Model): ModelBlock[] {
  return model.blocks.filter((block) => block.last > ackedOf(model, block.streamId));
}

/** Lost and not acknowledged, as the fewest ranges of one reason each. */
export function lostRanges({ lost, acked }: ModelStream): (SequenceRange & { reason: SequenceGapReason })[] {
  const ranges: { first: number; last: number; reason: SequenceGapReason }[] = [];
  for (const [at, reason] of [...lost].sort(([a], [b]) => a - b)) {
    if (at <= acked) continue;
    const before = ranges.at(-1);
    if (before !== undefined && before.last + 1 === at && before.reason === reason) before.last = at;
    else ranges.push({ first: at, last: at, reason });
  }
  return ranges;
}

export function heldRanges(model: Model, streamId: string): SequenceRange[] {
  return joinTouching(model.blocks.filter((block) => block.streamId === streamId));
}

function fitting(model: Model, blocks: readonly Block[], rules: ModelRules): number {
  if (model.open === null) return 0;
  const there = blocksIn(model, model.open);
  let bytes = bytesOf(there);
  for (const [count, block] of blocks.entries()) {
    bytes += sizeOf(block);
    if (bytes > rules.segmentBytes && there.length + count > 0) return count;
  }
  return blocks.length;
}

function stored(model: Model, block: Block): Model {
  const { streamId, firstSequence } = block.header;
  const last = lastSequence(block.header);
  const entry: ModelBlock = {
    streamId,
    first: firstSequence,
    last,
    position: model.nextPosition,
    segment: model.open ?? 0,
    diskBytes: sizeOf(block),
    readBytes: block.bytes.length,
  };
  const next = { ...model, blocks: [...model.blocks, entry], nextPosition: model.nextPosition + 1 };
  return withStream(next, streamId, (each) => ({ ...each, durable: last }));
}

/** `null`: there is no room for one. */
function withNewSegment(model: Model, blockBytes: number, rules: ModelRules): Model | null {
  const neededBytes = Math.max(rules.segmentBytes, blockBytes);
  const settled = rules.policy === 'on-outage' ? model.segments.filter((each) => isAcked(model, each)) : [];
  let next = settled.reduce(without, model);
  while (bytesOf(next.blocks) + neededBytes > rules.capacityBytes) {
    const free = next.segments.find((each) => isAcked(next, each));
    const victim = free ?? (rules.whenFull === 'drop-oldest' ? next.segments[0] : undefined);
    if (victim === undefined) return null;
    for (const { streamId, first, last } of blocksIn(next, victim)) {
      const from = Math.max(first, ackedOf(next, streamId) + 1);
      next = withLost(next, { streamId, first: from, last }, 'evicted');
    }
    next = without(next, victim);
  }
  const number = next.nextSegment;
  return committed({
    ...next,
    segments: [...next.segments, number],
    open: number,
    nextSegment: number + 1,
  });
}

function withRefused(model: Model, blocks: readonly Block[]): Model {
  return blocks.reduce((next, { header }) => {
    const range = { streamId: header.streamId, first: header.firstSequence, last: lastSequence(header) };
    const refused = withLost(next, range, 'refused');
    return withStream(refused, header.streamId, (each) => ({ ...each, durable: range.last }));
  }, committed(model));
}

function without(model: Model, segment: number): Model {
  return {
    ...model,
    segments: model.segments.filter((each) => each !== segment),
    blocks: model.blocks.filter((block) => block.segment !== segment),
    open: model.open === segment ? null : model.open,
  };
}

function isAcked(model: Model, segment: number): boolean {
  return blocksIn(model, segment).every((block) => block.last <= ackedOf(model, block.streamId));
}

function blocksIn(model: Model, segment: number): ModelBlock[] {
  return model.blocks.filter((block) => block.segment === segment);
}

function bytesOf(blocks: readonly ModelBlock[]): number {
  return blocks.reduce((sum, block) => sum + block.diskBytes, 0);
}

function sizeOf(block: Block | undefined): number {
  return block === undefined ? 0 : block.bytes.length + RECORD_OVERHEAD_BYTES;
}

/** Blocks in each segment that has some. */
export function layoutOf({ segments, blocks }: Model): number[] {
  const counts = segments.map((number) => blocks.filter(({ segment }) => segment === number).length);
  return counts.filter((count) => count > 0);
}
