import { type SequenceRange, subtract } from './coverage.ts';

/** One number for a range of a stream's sequence. */
export interface SequenceStep extends SequenceRange {
  readonly value: number;
}

/** A number for each sequence, 0 where nothing is said: ascending, disjoint; touching equals are merged. */
export type SequenceSteps = readonly SequenceStep[];

export const NO_STEPS: SequenceSteps = [];

/** The steps after `step` was laid over them. The same object if that changes nothing. */
export function withStep(steps: SequenceSteps, { first, last, value }: SequenceStep): SequenceSteps {
  const parts = steps.flatMap((each) =>
    subtract(each, [{ first, last }]).map((part): SequenceStep => ({ ...part, value: each.value })),
  );
  if (value !== 0) parts.push({ first, last, value });
  const merged = merge(parts.sort((a, b) => a.first - b.first));
  return sameSteps(merged, steps) ? steps : merged;
}

/** The number of a sequence. */
export function stepAt(steps: SequenceSteps, sequence: number): number {
  return steps.find((each) => each.first <= sequence && sequence <= each.last)?.value ?? 0;
}

/** The steps within a range, with those of value 0: ascending, touching, covering it. */
export function stepsWithin(steps: SequenceSteps, range: SequenceRange): SequenceStep[] {
  const rest = subtract(range, steps).map((part): SequenceStep => ({ ...part, value: 0 }));
  const inside = steps
    .map(({ first, last, value }): SequenceStep => {
      return { first: Math.max(first, range.first), last: Math.min(last, range.last), value };
    })
    .filter(({ first, last }) => first <= last);
  return [...rest, ...inside].sort((a, b) => a.first - b.first);
}

function merge(parts: readonly SequenceStep[]): SequenceStep[] {
  const merged: { first: number; last: number; value: number }[] = [];
  for (const { first, last, value } of parts) {
    const before = merged.at(-1);
    if (before !== undefined && before.value === value && before.last + 1 === first) before.last = last;
    else merged.push({ first, last, value });
  }
  return merged;
}

function sameSteps(a: SequenceSteps, b: SequenceSteps): boolean {
  return (
    a.length === b.length &&
    a.every(({ first, last, value }, at) => {
      const other = b[at];
      return other?.first === first && other.last === last && other.value === value;
    })
  );
}
