/* Coverage of one stream: docs/PROTOCOL.md, section 5. */

export interface Range {
  readonly first: number;
  /** Inclusive. */
  readonly last: number;
}

export interface Cover extends Range {
  /** `data`, or the reason of a gap. */
  readonly state: string;
}

export const OPEN_END = 2 ** 53 - 1;

/** What a Kernel concludes; what a store tells is more exact. */
const CONCLUDED = new Set(['crash', 'store-lost']);

/** A state replaces those of a lower rank. */
function rankOf(state: string): number {
  return state === 'data' ? 2 : CONCLUDED.has(state) ? 0 : 1;
}

/** Lays a range on what nothing covers, or something of a lower rank. Tells what of it was laid. */
export function covered(
  coverage: readonly Cover[],
  range: Cover,
): { readonly coverage: readonly Cover[]; readonly changed: readonly Range[] } {
  const firm = coverage.filter(({ state }) => rankOf(state) >= rankOf(range.state));
  const changed = without(range, firm);
  const kept = coverage.flatMap((each) => {
    return without(each, changed).map((part) => ({ ...part, state: each.state }));
  });
  const added = changed.map((part) => ({ ...part, state: range.state }));
  return { coverage: joined([...kept, ...added]), changed };
}

/** The parts of a range that lie in none of the others, which are ascending. */
function without({ first, last }: Range, others: readonly Range[]): Range[] {
  const parts: Range[] = [];
  let from = first;
  for (const other of others) {
    if (other.last < from || other.first > last) continue;
    if (other.first > from) parts.push({ first: from, last: other.first - 1 });
    from = other.last + 1;
  }
  return from <= last ? [...parts, { first: from, last }] : parts;
}

function joined(ranges: Cover[]): Cover[] {
  const result: { first: number; last: number; state: string }[] = [];
  for (const range of ranges.sort((a, b) => a.first - b.first)) {
    const before = result.at(-1);
    if (before?.state === range.state && before.last + 1 === range.first) before.last = range.last;
    else result.push({ ...range });
  }
  return result;
}

/** What an agent is told: the contiguous end, and what lies behind it. */
export function told(
  coverage: readonly Cover[],
  isRunning: boolean,
): { readonly through: number; readonly held: readonly Range[] } {
  let through = 0;
  const held: { first: number; last: number }[] = [];
  for (const { first, last, state } of coverage) {
    if (isRunning && CONCLUDED.has(state)) continue;
    const before = held.at(-1);
    if (first === through + 1) through = last;
    else if (before?.last === first - 1) before.last = last;
    else held.push({ first, last });
  }
  return { through, held };
}
