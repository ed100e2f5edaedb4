import { invariant } from '../../src/domain/errors.ts';
import { counterOf, NO_TERM, type Term } from '../../src/domain/term.ts';
import type { World } from './pair-model.ts';

/** Farther than any wait of the machines reaches. */
const HORIZON_MS = 1200;
/** Beyond so many a difference of counters matters no more. */
const COUNTER_GAP = 3;
const TERM_RANKS = 32;

/** What says nothing of the future, and what never changes. */
const SKIPPED = new Set([
  'sinceMs',
  'why',
  'reason',
  'operator',
  'preferHoldOffMs',
  'leaseMs',
  'durationMs',
  'allowanceMs',
  'startedMs',
  'calmMs',
]);

type Kind = 'skip' | 'time' | 'term' | 'plain';
const texts = new Map<string, number>();

function kindOf(key: string): Kind {
  if (SKIPPED.has(key)) return 'skip';
  if (key.endsWith('Ms')) return 'time';
  return key === 'term' || key === 'persisting' || /Terms?$/.test(key) ? 'term' : 'plain';
}

/** A place in a world. Its objects mostly have the same fields in one order: kinds are found by that. */
class Place {
  readonly #name: string;
  readonly kind: Kind;
  readonly #fields: Place[] = [];

  constructor(name: string) {
    this.#name = name;
    this.kind = kindOf(name);
  }

  /** Of the field that comes at this place in the order. */
  field(at: number, name: string): Place {
    const known = this.#fields[at];
    if (known !== undefined && known.#name === name) return known;
    const field = new Place(name);
    this.#fields[at] = field;
    return field;
  }
}

function numberOf(text: string): number {
  let number = texts.get(text);
  if (number === undefined) {
    number = 1_000_000 + texts.size;
    texts.set(text, number);
  }
  return number;
}

/** More numbers than any world has. */
const NUMBERS_MAX = 16_384;

/** A value as a row of numbers; one is filled again and again, since an exploration needs millions. */
class Row {
  readonly #numbers = new Float64Array(NUMBERS_MAX);
  #length = 0;
  /** Those in the row, each once, ascending. */
  readonly #terms: Term[] = [];
  readonly #termsAt: number[] = [];

  clear(): void {
    this.#length = 0;
    this.#terms.length = 0;
    this.#termsAt.length = 0;
  }

  add(value: unknown, place: Place, nowMs: number): void {
    const { kind } = place;
    if (typeof value === 'number') {
      if (kind === 'time') this.#push(Math.max(-HORIZON_MS, Math.min(HORIZON_MS, value - nowMs)));
      else {
        if (kind === 'term' && value !== NO_TERM) this.#addTerm(value);
        this.#push(value);
      }
    } else if (typeof value === 'boolean') this.#push(value ? -2 : -3);
    else if (typeof value === 'string') this.#push(numberOf(value));
    else if (typeof value !== 'object' || value === null) this.#push(-4);
    else if (Array.isArray(value)) {
      this.#push(-5);
      this.#push(value.length);
      for (const each of value) this.add(each, place, nowMs);
    } else this.#addObject(value as Readonly<Record<string, unknown>>, place, nowMs);
  }

  #addObject(value: Readonly<Record<string, unknown>>, place: Place, nowMs: number): void {
    const own = value['nowMs'];
    const baseMs = typeof own === 'number' ? own : nowMs;
    this.#push(-6);
    let at = 0;
    for (const name in value) {
      const field = place.field(at, name);
      if (field.kind !== 'skip') this.add(value[name], field, baseMs);
      at++;
    }
  }

  #push(number: number): void {
    this.#numbers[this.#length++] = number;
  }

  #addTerm(term: Term): void {
    this.#termsAt.push(this.#length);
    let at = this.#terms.length;
    while (at > 0 && (this.#terms[at - 1] ?? 0) > term) at--;
    if (this.#terms[at - 1] !== term) this.#terms.splice(at, 0, term);
  }

  /** Of terms only their order counts, and which counters are next to each other. */
  compactTerms(): void {
    let last = 0;
    let counter = 0;
    const compact = this.#terms.map((term) => {
      const own = counterOf(term);
      counter += last === 0 ? 1 : Math.min(COUNTER_GAP, own - last);
      last = own;
      return counter * TERM_RANKS + (term % TERM_RANKS);
    });
    for (const place of this.#termsAt) {
      this.#numbers[place] = compact[this.#terms.indexOf(this.#numbers[place] ?? 0)] ?? 0;
    }
  }

  hash(): number {
    invariant(this.#length < NUMBERS_MAX, 'a world fits into a row');
    return hashOf(this.#numbers, this.#length);
  }
}

const row = new Row();
const PLACES = {
  nodes: new Place('nodes'),
  kernel: new Place('kernel'),
  isPeerCut: new Place('isPeerCut'),
  mintedTerms: new Place('mintedTerms'),
};

/**
 * Two worlds of one number have one future: times count from now, and of terms only their order and what is
 * next to what. Of a million worlds two fall together by chance once in 10,000 explorations.
 */
export function fingerprint({ nodes, kernel, isPeerCut, mintedTerms }: World): number {
  row.clear();
  row.add(nodes, PLACES.nodes, 0);
  row.add(kernel, PLACES.kernel, 0);
  row.add(isPeerCut, PLACES.isPeerCut, 0);
  row.add(mintedTerms, PLACES.mintedTerms, 0);
  row.compactTerms();
  return row.hash();
}

function hashOf(numbers: Float64Array, length: number): number {
  let low = 0xdeadbeef;
  let high = 0x41c6ce57;
  for (let at = 0; at < length; at++) {
    const number = numbers[at] ?? 0;
    low = Math.imul(low ^ number, 2654435761);
    high = Math.imul(high ^ number, 1597334677);
    low ^= low >>> 15;
    high ^= high >>> 13;
  }
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  return 4294967296 * (2097151 & high) + (low >>> 0);
}
