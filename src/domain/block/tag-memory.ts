import { NumberClass } from './number-class.ts';

/** A tag of which nothing came yet. */
export const UNSEEN = 255;

/**
 * What the entries of a block that were coded so far tell of each tag. Writer and reader keep the same, so
 * that only what differs from it is written.
 */
export class TagMemory {
  /** Symbol of the tag's last entry, or `UNSEEN`. */
  symbols = new Uint8Array(0);
  /** The tag's last boolean, 0 or 1. */
  booleans = new Uint8Array(0);
  /** Class of the tag's numbers by `slotOf`, or `UNSEEN`. */
  classes = new Uint8Array(0);
  /** By `slotOf`: 1 where a number came. */
  seen = new Uint8Array(0);
  /** The last integer by `slotOf`. */
  integers = new Float64Array(0);

  /** Room for tag indexes below `span`. */
  reserve(span: number): void {
    if (this.symbols.length >= span) return;
    const tags = Math.max(span, 2 * this.symbols.length, 64);
    this.symbols = new Uint8Array(tags).fill(UNSEEN);
    this.booleans = new Uint8Array(tags);
    this.classes = new Uint8Array(2 * tags).fill(UNSEEN);
    this.seen = new Uint8Array(2 * tags);
    this.integers = new Float64Array(2 * tags);
  }

  /** Forgets the tags of a block. */
  clear(tagIndexes: Uint32Array): void {
    for (let at = 0; at < tagIndexes.length; at++) {
      const tag = tagIndexes[at] as number;
      this.symbols[tag] = UNSEEN;
      this.booleans[tag] = 0;
      this.seen[2 * tag] = 0;
      this.seen[2 * tag + 1] = 0;
      this.classes[2 * tag] = UNSEEN;
      this.classes[2 * tag + 1] = UNSEEN;
    }
  }
}

/** A tag may come with int64 and float64 in one block; each has its own class and its own last integer. */
export function slotOf(tagIndex: number, isFloat: boolean): number {
  return 2 * tagIndex + (isFloat ? 1 : 0);
}

/** Integers are written by groups; those of a group are alike. */
export const NUMBER_GROUPS = 3;

/** Where the number of an entry is written. The first three are the groups of integers. */
export const Role = {
  integer: 0,
  decimal: 1,
  float32: 2,
  rawInteger: 3,
  rawFloat: 4,
  none: 5,
} as const;

/** Joined to a role: the first number of its tag. */
export const FIRST_OF_TAG = 8;

export function roleOf(code: number, isFloat: boolean): number {
  if (code === NumberClass.raw) return isFloat ? Role.rawFloat : Role.rawInteger;
  if (!isFloat) return Role.integer;
  return code < NumberClass.decimal32 ? Role.decimal : Role.float32;
}

/** Symbols in the order of their last use, which is the order in which they are likely to come again. */
export class RecentSymbols {
  readonly #symbols: number[];

  constructor(symbols: readonly number[]) {
    this.#symbols = [...symbols];
  }

  /** The place of a symbol, which becomes the newest one. */
  use(symbol: number): number {
    const place = this.#symbols.indexOf(symbol);
    this.#raise(place);
    return place;
  }

  /** The symbol at a place, which becomes the newest one; `undefined` for no place. */
  useAt(place: number): number | undefined {
    const symbol = this.#symbols[place];
    if (symbol !== undefined) this.#raise(place);
    return symbol;
  }

  #raise(place: number): void {
    const symbols = this.#symbols;
    const symbol = symbols[place] as number;
    for (let at = place; at > 0; at--) symbols[at] = symbols[at - 1] as number;
    symbols[0] = symbol;
  }
}

/** How many entries have each role. */
export function countRoles(roles: Uint8Array): Uint32Array {
  const counts = new Uint32Array(2 * FIRST_OF_TAG);
  for (let at = 0; at < roles.length; at++) {
    const role = roles[at] as number;
    counts[role] = (counts[role] as number) + 1;
  }
  return counts;
}

/** Where the columns of the groups begin when they lie one behind the other, by role: firsts, and steps. */
export function placesOf(counts: Uint32Array): Uint32Array {
  const places = new Uint32Array(2 * FIRST_OF_TAG);
  for (let group = 1; group < NUMBER_GROUPS; group++) {
    for (const role of [group, group | FIRST_OF_TAG]) {
      places[role] = (places[role - 1] as number) + (counts[role - 1] as number);
    }
  }
  return places;
}
