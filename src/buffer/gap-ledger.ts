/** Gap records of the ring: a sorted list, coalesced and bounded. Values, changed by making new ones. */
import { subtract } from '../domain/coverage.ts';
import { invariant } from '../domain/errors.ts';
import {
  type LostByReason,
  OPEN_END,
  type SequenceGap,
  type SequenceGapReason,
  sumOfCounts,
} from '../domain/gap.ts';

/** More records than this and the two nearest of one stream and reason become one. */
export const GAPS_MAX = 10_000;

/** The records with one more; unchanged (the same list) where its numbers are all declared already. */
export function addGap(gaps: readonly SequenceGap[], gap: SequenceGap): readonly SequenceGap[] {
  invariant(gap.firstSequence <= gap.lastSequence, 'a gap is not empty');
  const parts = undeclared(gaps, gap);
  if (parts.length === 0) return gaps;
  const next = gaps.slice();
  for (const part of parts) insert(next, part);
  while (next.length > GAPS_MAX) mergeNearest(next);
  return next;
}

/** The parts of a gap that no record covers yet. */
export function undeclared(gaps: readonly SequenceGap[], gap: SequenceGap): SequenceGap[] {
  const holes = gaps
    .filter((each) => each.streamId === gap.streamId)
    .map((each) => ({ first: each.firstSequence, last: each.lastSequence }));
  const parts = subtract({ first: gap.firstSequence, last: gap.lastSequence }, holes);
  return parts.map(({ first, last }) => ({
    ...gap,
    firstSequence: first,
    lastSequence: last,
    // Cutting an open end off or a merged span down can only lower the bound.
    countAtMost: last === OPEN_END ? gap.countAtMost : Math.min(gap.countAtMost, last - first + 1),
  }));
}

/** The records without those that a Kernel has wholly. */
export function withoutSettled(
  gaps: readonly SequenceGap[],
  ackedThrough: (streamId: string) => number,
): readonly SequenceGap[] {
  const left = gaps.filter((gap) => gap.lastSequence > ackedThrough(gap.streamId));
  return left.length === gaps.length ? gaps : left;
}

/** The totals with some more gaps. */
export function countLost(lost: LostByReason, gaps: readonly SequenceGap[]): LostByReason {
  const next: Partial<Record<SequenceGapReason, number>> = { ...lost };
  for (const gap of gaps) next[gap.reason] = sumOfCounts(next[gap.reason] ?? 0, gap.countAtMost);
  return next;
}

function insert(gaps: SequenceGap[], gap: SequenceGap): void {
  let at = gaps.findIndex((each) => isBefore(gap, each));
  if (at < 0) at = gaps.length;
  const before = gaps[at - 1];
  const after = gaps[at];
  let merged = gap;
  let from = at;
  let removed = 0;
  if (before !== undefined && touches(before, merged)) {
    merged = joined(before, merged);
    from -= 1;
    removed += 1;
  }
  if (after !== undefined && touches(merged, after)) {
    merged = joined(merged, after);
    removed += 1;
  }
  gaps.splice(from, removed, merged);
}

function isBefore(a: SequenceGap, b: SequenceGap): boolean {
  return a.streamId === b.streamId ? a.firstSequence < b.firstSequence : a.streamId < b.streamId;
}

function touches(a: SequenceGap, b: SequenceGap): boolean {
  return isAlike(a, b) && a.lastSequence !== OPEN_END && a.lastSequence + 1 === b.firstSequence;
}

function isAlike(a: SequenceGap, b: SequenceGap): boolean {
  return a.streamId === b.streamId && a.reason === b.reason;
}

function joined(a: SequenceGap, b: SequenceGap): SequenceGap {
  return {
    ...a,
    lastSequence: b.lastSequence,
    fromUs: Math.min(a.fromUs, b.fromUs),
    toUs: Math.max(a.toUs, b.toUs),
    countAtMost: sumOfCounts(a.countAtMost, b.countAtMost),
  };
}

/** Joins the two neighbours of one stream and reason with the fewest numbers between; else drops nothing. */
function mergeNearest(gaps: SequenceGap[]): void {
  let nearest = 0;
  let distance = Number.POSITIVE_INFINITY;
  for (let at = 1; at < gaps.length; at += 1) {
    const a = gaps[at - 1];
    const b = gaps[at];
    if (a === undefined || b === undefined || a.streamId !== b.streamId) continue;
    // Records of unlike reasons are joined only when there are no alike ones left.
    const between = b.firstSequence - a.lastSequence + (isAlike(a, b) ? 0 : Number.MAX_SAFE_INTEGER);
    if (between < distance) [nearest, distance] = [at, between];
  }
  const a = gaps[nearest - 1];
  const b = gaps[nearest];
  invariant(a !== undefined && b !== undefined, 'there are fewer streams than gap records');
  gaps.splice(nearest - 1, 2, joined(a, b));
}
