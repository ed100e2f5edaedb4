import { describe, expect, it } from 'vitest';
import type { Coverage, CoverageState } from '../../domain/coverage.ts';
import type { NumberedSpan } from '../../domain/gap.ts';
import type { NackReason } from '../../uplink/messages.ts';
import { REFUSED_MAX, RefusedBlocks } from './refused-blocks.ts';

const STREAM = 'a'.repeat(32);

const of = (...ranges: [number, number, CoverageState][]): Coverage =>
  ranges.map(([first, last, state]) => ({ first, last, state }));

function spanOf(firstSequence: number, lastSequence: number): NumberedSpan {
  return { streamId: STREAM, firstSequence, count: lastSequence - firstSequence + 1, fromUs: 5, toUs: 9 };
}

function refuse(
  blocks: RefusedBlocks,
  span: NumberedSpan,
  reason: NackReason = 'undecodable',
  nowMs = 0,
): boolean {
  const { streamId, firstSequence, count } = span;
  const lastSequence = firstSequence + count - 1;
  return blocks.refused({ streamId, firstSequence, lastSequence, reason, text: 'version 99' }, span, {
    nowMs,
    isUnknown: true,
  });
}

const noneGone = () => [];

describe('a block that a taker refuses', () => {
  it('is a gap of what the taker knows nothing of, with the times of the block, until it knows of it', () => {
    const blocks = new RefusedBlocks();
    refuse(blocks, spanOf(1, 10));
    const [before, behind, ...rest] = blocks.gaps(
      STREAM,
      [
        { first: 1, last: 3 },
        { first: 8, last: 20 },
      ],
      [],
    );
    expect(rest).toEqual([]);
    const gap = { streamId: STREAM, reason: 'rejected', fromUs: 5, toUs: 9 };
    expect(before).toEqual({ ...gap, firstSequence: 1, lastSequence: 3, countAtMost: 3 });
    expect(behind).toEqual({ ...gap, firstSequence: 8, lastSequence: 10, countAtMost: 3 });
    expect(blocks.gaps('b'.repeat(32), [{ first: 1, last: 9 }], [])).toEqual([]);
    expect(blocks.gaps(STREAM, [{ first: 11, last: 20 }], [])).toEqual([]);
    expect(blocks.gaps(STREAM, [{ first: 1, last: 20 }], []), 'it is settled').toEqual([]);
  });

  it('for a reason that says nothing is no gap, and may be given again after a while', () => {
    const blocks = new RefusedBlocks();
    refuse(blocks, spanOf(1, 10), 'unspecified', 100);
    refuse(blocks, spanOf(11, 20), 'unspecified', 5000);
    expect(blocks.gaps(STREAM, [{ first: 1, last: 20 }], [])).toEqual([]);
    expect(blocks.due(10_099)).toEqual([]);
    expect(blocks.due(10_100)).toEqual([spanOf(1, 10)]);
    expect(blocks.due(60_000)).toEqual([spanOf(11, 20)]);
    expect(blocks.due(90_000)).toEqual([]);
  });

  it.each(['undecodable', 'too-large', 'forbidden'] as const)('is one for the reason %s', (reason) => {
    const blocks = new RefusedBlocks();
    refuse(blocks, spanOf(1, 10), reason);
    expect(blocks.gaps(STREAM, [{ first: 1, last: 10 }], [])).toHaveLength(1);
  });

  it('is news for the log once for each reason and connection', () => {
    const blocks = new RefusedBlocks();
    const isNews = (reason: NackReason) => refuse(blocks, spanOf(1, 10), reason);
    const reasons = ['undecodable', 'undecodable', 'too-large', 'unspecified', 'unspecified'] as const;
    expect(reasons.map(isNews)).toEqual([true, false, true, true, false]);
    blocks.clear();
    expect(isNews('unspecified')).toBe(true);
  });

  it('is forgotten with the connection: it is given once more', () => {
    const blocks = new RefusedBlocks();
    refuse(blocks, spanOf(1, 10));
    refuse(blocks, spanOf(11, 20), 'unspecified');
    blocks.clear();
    expect(blocks.gaps(STREAM, [{ first: 1, last: 20 }], [])).toEqual([]);
    expect(blocks.due(60_000)).toEqual([]);
  });
});

describe('the bound', () => {
  /** Every other number. */
  const every = (count: number): NumberedSpan[] =>
    Array.from({ length: count }, (_, at) => spanOf(2 * at + 1, 2 * at + 1));
  const unknown = [{ first: 1, last: 4 * REFUSED_MAX }];

  it.each(['undecodable', 'unspecified'] as const)('of blocks that are remembered as %s', (reason) => {
    const blocks = new RefusedBlocks();
    for (const span of every(REFUSED_MAX - 1)) refuse(blocks, span, reason);
    expect(blocks.isFull).toBe(false);
    for (const span of every(REFUSED_MAX + 10).slice(REFUSED_MAX - 1)) refuse(blocks, span, reason);
    expect(blocks.isFull).toBe(true);
    const isForGood = reason === 'undecodable';
    expect(blocks.gaps(STREAM, unknown, [])).toHaveLength(isForGood ? REFUSED_MAX : 0);
    expect(blocks.due(60_000)).toHaveLength(isForGood ? 0 : REFUSED_MAX);
    // When these are there, there is room for others.
    expect(blocks.gaps(STREAM, [{ first: 2 * REFUSED_MAX, last: 4 * REFUSED_MAX }], [])).toEqual([]);
    expect(blocks.isFull).toBe(false);
  });

  it('of runs that a ForwardCoverage can tell of: what is beyond is no gap, and holds nothing up', () => {
    const blocks = new RefusedBlocks();
    const theirs = every(REFUSED_MAX).map(({ firstSequence: at }) => ({
      ...{ first: at, last: at },
      state: 'rejected' as const,
    }));
    const rest = [{ first: 2 * REFUSED_MAX, last: 4 * REFUSED_MAX }];
    const beyond = every(2 * REFUSED_MAX).slice(REFUSED_MAX);
    for (const span of beyond) refuse(blocks, span);
    expect(blocks.gaps(STREAM, rest, theirs.slice(1))).toHaveLength(1);
    expect(blocks.isFull).toBe(true);
    expect(blocks.gaps(STREAM, rest, theirs)).toEqual([]);
    expect(blocks.isFull).toBe(false);
  });
});

describe('what is refused', () => {
  const data = [{ first: 3, last: 20 }];
  const theirs = of([1, 2, 'data'], [3, 6, 'rejected'], [7, 8, 'evicted'], [11, 14, 'rejected']);

  it('is data here and a gap rejected there, whoever refused it and when', () => {
    const blocks = new RefusedBlocks();
    blocks.compared(STREAM, { data, theirs, nowMs: 1000 });
    expect(blocks.status(4000, noneGone)).toEqual({ values: 8, runs: 2, forMs: 3000, why: null });
    refuse(blocks, spanOf(3, 6));
    blocks.clear();
    blocks.compared(STREAM, { data, theirs, nowMs: 2000 });
    const why = 'undecodable, version 99';
    expect(blocks.status(4000, noneGone)).toEqual({ values: 8, runs: 2, forMs: 3000, why });
    blocks.told(STREAM, of([1, 6, 'data'], [7, 8, 'evicted'], [11, 14, 'rejected']));
    expect(blocks.status(4000, noneGone)).toMatchObject({ values: 4, runs: 1, forMs: 3000 });
    blocks.told(STREAM, of([1, 20, 'data']));
    expect(blocks.status(4000, noneGone)).toMatchObject({ values: 0, runs: 0, forMs: null });
  });

  it('is nothing any more that has no row here', () => {
    const blocks = new RefusedBlocks();
    blocks.compared(STREAM, { data, theirs, nowMs: 0 });
    expect(blocks.status(5, () => [{ first: 1, last: 12 }])).toMatchObject({ values: 2, runs: 1 });
    expect(blocks.status(5, () => [{ first: 1, last: 20 }])).toMatchObject({ values: 0, forMs: null });
  });
});
