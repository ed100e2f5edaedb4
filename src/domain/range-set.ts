import { joinTouching, type SequenceRange, subtract } from './coverage.ts';

/** A set of sequence numbers that changes, as few ranges. */
export class RangeSet {
  #ranges: SequenceRange[];

  constructor(ranges: readonly SequenceRange[] = []) {
    this.#ranges = joinTouching(ranges.toSorted((one, other) => one.first - other.first));
  }

  /** Ascending and disjoint. */
  get ranges(): readonly SequenceRange[] {
    return this.#ranges;
  }

  add(range: SequenceRange): void {
    const last = this.#ranges.at(-1);
    if (last !== undefined && range.first < last.first) {
      this.#ranges = joinTouching([...this.#ranges, range].sort((one, other) => one.first - other.first));
    } else if (last !== undefined && range.first <= last.last + 1) {
      this.#ranges[this.#ranges.length - 1] = { first: last.first, last: Math.max(last.last, range.last) };
    } else this.#ranges.push(range);
  }

  remove(range: SequenceRange): void {
    this.#ranges = this.#ranges.flatMap((each) => subtract(each, [range]));
  }

  /** All numbers of a range are in it. */
  holds(range: SequenceRange): boolean {
    return this.missing(range).length === 0;
  }

  /** The numbers of a range that are not in it. */
  missing(range: SequenceRange): SequenceRange[] {
    return subtract(range, this.#ranges);
  }
}

/** The set of a stream; one that there is not yet is made. */
export function rangesOf(sets: Map<string, RangeSet>, streamId: string): RangeSet {
  const known = sets.get(streamId);
  if (known !== undefined) return known;
  const set = new RangeSet();
  sets.set(streamId, set);
  return set;
}
