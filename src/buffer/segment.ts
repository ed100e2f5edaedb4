/** What the ring knows about a segment without reading it. Values, changed by making new ones. */
import { type Block, lastSequence } from '../domain/block/block.ts';
import { countOf, joinTouching, type SequenceRange, subtract } from '../domain/coverage.ts';
import { invariant } from '../domain/errors.ts';
import type { SequenceGap, SequenceGapReason } from '../domain/gap.ts';
import { RECORD_OVERHEAD_BYTES } from './record.ts';

/** The blocks of one stream in one segment: consecutive positions, ascending sequences. */
export interface Run {
  readonly streamId: string;
  readonly firstPosition: number;
  readonly lastPosition: number;
  /** Ascending, never empty; holes are numbers that were delivered without being stored. */
  readonly ranges: readonly SequenceRange[];
  readonly fromUs: number;
  readonly toUs: number;
}

/** `open`: the one that is written to; `doomed`: to be deleted, nothing of it counts any more. */
export type SegmentState = 'open' | 'sealed' | 'doomed';

export interface SegmentFacts {
  readonly number: number;
  readonly state: SegmentState;
  /** Position of the first block, or the next one to be given. */
  readonly firstPosition: number;
  /** `firstPosition - 1` when it is empty. */
  readonly lastPosition: number;
  readonly runs: readonly Run[];
  readonly blocks: number;
  readonly samples: number;
  /** On disk: measured when it was sealed, counted while it is written to. */
  readonly bytes: number;
  /** Hashes of the dictionaries that are in it. */
  readonly dictionaries: readonly string[];
  /** In run time of the store, where data has a greatest age: since when it has a block, */
  readonly filledFromRunMs?: number;
  /** and since when it is sealed, as of the alive mark that saw it first. */
  readonly sealedAtRunMs?: number;
}

/** More holes in a run than this and the narrowest is counted as held, which costs nothing but precision. */
export const RANGES_MAX = 64;

const NAME = /^segment-(\d{10})$/;

export function segmentName(number: number): string {
  return `segment-${String(number).padStart(10, '0')}`;
}

/** Number of a segment's directory; `undefined` for a foreign one. */
export function segmentNumber(name: string): number | undefined {
  const digits = NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

export function emptySegment(number: number, firstPosition: number): SegmentFacts {
  return {
    number,
    state: 'open',
    firstPosition,
    lastPosition: firstPosition - 1,
    runs: [],
    blocks: 0,
    samples: 0,
    bytes: 0,
    dictionaries: [],
  };
}

/** The facts with one more block, at the next position. */
export function withBlock(facts: SegmentFacts, block: Block): SegmentFacts {
  const { header, bytes } = block;
  const position = facts.lastPosition + 1;
  const range = { first: header.firstSequence, last: lastSequence(header) };
  const last = facts.runs.at(-1);
  const runs = facts.runs.slice();
  if (last === undefined || last.streamId !== header.streamId) {
    const { streamId, fromUs, toUs } = header;
    runs.push({ streamId, firstPosition: position, lastPosition: position, ranges: [range], fromUs, toUs });
  } else {
    invariant(range.first > lastOf(last), 'sequences ascend within a stream');
    runs[runs.length - 1] = {
      ...last,
      lastPosition: position,
      ranges: bounded(joinTouching([...last.ranges, range])),
      fromUs: Math.min(last.fromUs, header.fromUs),
      toUs: Math.max(last.toUs, header.toUs),
    };
  }
  return {
    ...facts,
    lastPosition: position,
    runs,
    blocks: facts.blocks + 1,
    samples: facts.samples + header.count,
    bytes: facts.bytes + bytes.length + RECORD_OVERHEAD_BYTES,
  };
}

/** Runs of a segment that holds blocks as they come; more make a new one. */
export const FOREIGN_RUNS_MAX = 1024;

/**
 * The facts with one more block of whatever stream and numbers: each run is one range without holes, so what
 * the facts say is held exactly.
 */
export function withForeignBlock(facts: SegmentFacts, block: Block): SegmentFacts {
  const last = facts.runs.at(-1);
  const isNext = last?.streamId === block.header.streamId && lastOf(last) + 1 === block.header.firstSequence;
  if (isNext) return withBlock(facts, block);
  const { runs, ...changed } = withBlock({ ...facts, runs: [] }, block);
  return { ...changed, runs: [...facts.runs, ...runs] };
}

/** The facts with one more position that holds nothing readable; its loss is for the caller to declare. */
export function withUnreadable(facts: SegmentFacts): SegmentFacts {
  return { ...facts, lastPosition: facts.lastPosition + 1 };
}

/** The facts with one more dictionary in the segment. */
export function withDictionary(facts: SegmentFacts, hash: string, bytes: number): SegmentFacts {
  return {
    ...facts,
    dictionaries: [...facts.dictionaries, hash],
    bytes: facts.bytes + bytes + RECORD_OVERHEAD_BYTES,
  };
}

export function firstOf(run: Run): number {
  const first = run.ranges[0];
  invariant(first !== undefined, 'a run is not empty');
  return first.first;
}

export function lastOf(run: Run): number {
  const last = run.ranges.at(-1);
  invariant(last !== undefined, 'a run is not empty');
  return last.last;
}

/** The numbers of a run that are above a watermark. */
export function rangesAbove(run: Run, ackedThrough: number): SequenceRange[] {
  return run.ranges.flatMap((range) => subtract(range, [{ first: 0, last: ackedThrough }]));
}

/** How far a stream is acknowledged. */
export type AckedThrough = (streamId: string) => number;

/** Everything in the segment is acknowledged (also true for an empty one). */
export function isAcknowledged(facts: SegmentFacts, ackedThrough: AckedThrough): boolean {
  return facts.runs.every((run) => lastOf(run) <= ackedThrough(run.streamId));
}

/** How many samples of a segment are not acknowledged. */
export function unacknowledgedSamples(facts: SegmentFacts, ackedThrough: AckedThrough): number {
  return facts.runs.reduce((sum, run) => sum + countOf(rangesAbove(run, ackedThrough(run.streamId))), 0);
}

/** The gaps that losing a segment makes: what is not acknowledged, exactly. */
export function gapsOfSegment(
  facts: SegmentFacts,
  ackedThrough: AckedThrough,
  reason: SequenceGapReason,
): SequenceGap[] {
  return facts.runs.flatMap((run) => gapsOfRanges(run, rangesAbove(run, ackedThrough(run.streamId)), reason));
}

/** Gap records of some ranges of a run, with the run's time span. */
export function gapsOfRanges(
  run: Pick<Run, 'streamId' | 'fromUs' | 'toUs'>,
  ranges: readonly SequenceRange[],
  reason: SequenceGapReason,
): SequenceGap[] {
  return ranges.map(({ first, last }) => ({
    streamId: run.streamId,
    firstSequence: first,
    lastSequence: last,
    reason,
    fromUs: run.fromUs,
    toUs: run.toUs,
    countAtMost: last - first + 1,
  }));
}

function bounded(ranges: SequenceRange[]): SequenceRange[] {
  if (ranges.length <= RANGES_MAX) return ranges;
  let narrowest = 1;
  let width = Number.MAX_SAFE_INTEGER;
  for (let at = 1; at < ranges.length; at += 1) {
    const hole = (ranges[at]?.first ?? 0) - (ranges[at - 1]?.last ?? 0);
    if (hole < width) [narrowest, width] = [at, hole];
  }
  const before = ranges[narrowest - 1];
  const after = ranges[narrowest];
  invariant(before !== undefined && after !== undefined, 'the narrowest hole has two sides');
  return ranges.toSpliced(narrowest - 1, 2, { first: before.first, last: after.last });
}
