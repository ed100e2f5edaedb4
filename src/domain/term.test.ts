import { describe, expect, test } from 'vitest';
import { counterOf, formatTerm, minterOf, NO_TERM, termAbove, termOf } from './term.ts';

describe('terms', () => {
  test('a higher counter wins, then a grant of a Kernel, then the lower instance', () => {
    const ascending = [
      NO_TERM,
      termOf(1, { instance: 15 }),
      termOf(1, { instance: 2 }),
      termOf(1, { instance: 1 }),
      termOf(1, 'kernel'),
      termOf(2, { instance: 2 }),
    ];
    expect(ascending.toSorted((a, b) => a - b)).toEqual(ascending);
    expect(new Set(ascending).size).toBe(ascending.length);
  });

  test('tells who granted it', () => {
    expect(minterOf(termOf(7, 'kernel'))).toBe('kernel');
    expect(minterOf(termOf(7, { instance: 2 }))).toEqual({ instance: 2 });
    expect(minterOf(NO_TERM)).toBeNull();
    expect(counterOf(termOf(7, { instance: 2 }))).toBe(7);
  });

  test('the next one is above all that was seen, whoever grants it', () => {
    const seen = termOf(7, 'kernel');
    expect(termAbove(seen, { instance: 15 })).toBeGreaterThan(seen);
    expect(termAbove(NO_TERM, 'kernel')).toBe(termOf(1, 'kernel'));
  });

  test('reads well', () => {
    expect(formatTerm(termOf(7, 'kernel'))).toBe('7 by the Kernel');
    expect(formatTerm(termOf(8, { instance: 2 }))).toBe('8 by instance 2');
    expect(formatTerm(NO_TERM)).toBe('none');
  });
});
