import { counterOf, type Term } from '../../src/domain/term.ts';
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
const kinds = new Map<string, Kind>();
const texts = new Map<string, number>();

function kindOf(key: string): Kind {
  let kind = kinds.get(key);
  if (kind === undefined) {
    if (SKIPPED.has(key)) kind = 'skip';
    else if (key.endsWith('Ms')) kind = 'time';
    else kind = key === 'term' || key === 'persisting' || /Terms?$/.test(key) ? 'term' : 'plain';
    kinds.set(key, kind);
  }
  return kind;
}

function numberOf(text: string): number {
  let number = texts.get(text);
  if (number === undefined) {
    number = 1_000_000 + texts.size;
    texts.set(text, number);
  }
  return number;
}

/** A value as a row of numbers. */
class Row {
  readonly numbers: number[] = [];
  readonly #terms: Term[] = [];
  readonly #places: number[] = [];

  add(value: unknown, kind: Kind, nowMs: number): void {
    const { numbers } = this;
    if (typeof value === 'number') {
      if (kind === 'time') numbers.push(Math.max(-HORIZON_MS, Math.min(HORIZON_MS, value - nowMs)));
      else {
        if (kind === 'term') {
          this.#places.push(numbers.length);
          this.#terms.push(value);
        }
        numbers.push(value);
      }
    } else if (typeof value === 'boolean') numbers.push(value ? -2 : -3);
    else if (typeof value === 'string') numbers.push(numberOf(value));
    else if (typeof value !== 'object' || value === null) numbers.push(-4);
    else if (Array.isArray(value)) {
      numbers.push(-5, value.length);
      for (const each of value) this.add(each, kind, nowMs);
    } else this.#addObject(value, nowMs);
  }

  #addObject(value: object, nowMs: number): void {
    const own: unknown = Reflect.get(value, 'nowMs');
    const baseMs = typeof own === 'number' ? own : nowMs;
    this.numbers.push(-6);
    for (const name in value) {
      const kind = kindOf(name);
      if (kind !== 'skip') this.add(Reflect.get(value, name), kind, baseMs);
    }
  }

  /** Of terms only their order counts, and which counters are next to each other. */
  compactTerms(): void {
    const compact = new Map<Term, number>([[0, 0]]);
    let last = 0;
    let counter = 0;
    for (const term of this.#terms.toSorted((left, right) => left - right)) {
      if (compact.has(term)) continue;
      const own = counterOf(term);
      counter += last === 0 ? 1 : Math.min(COUNTER_GAP, own - last);
      last = own;
      compact.set(term, counter * TERM_RANKS + (term % TERM_RANKS));
    }
    for (const place of this.#places) {
      this.numbers[place] = compact.get(this.numbers[place] ?? 0) ?? 0;
    }
  }
}

/**
 * Two worlds of one number have one future: times count from now, and of terms only their order and what is
 * next to what. Of a million worlds two fall together by chance once in 10,000 explorations.
 */
export function fingerprint({ nodes, kernel, isPeerCut, mintedTerms }: World): number {
  const row = new Row();
  row.add(nodes, 'plain', 0);
  row.add(kernel, 'plain', 0);
  row.add(isPeerCut, 'plain', 0);
  row.add(mintedTerms, 'term', 0);
  row.compactTerms();
  return hashOf(row.numbers);
}

function hashOf(numbers: readonly number[]): number {
  let low = 0xdeadbeef;
  let high = 0x41c6ce57;
  for (const number of numbers) {
    low = Math.imul(low ^ number, 2654435761);
    high = Math.imul(high ^ number, 1597334677);
    low ^= low >>> 15;
    high ^= high >>> 13;
  }
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  return 4294967296 * (2097151 & high) + (low >>> 0);
}
