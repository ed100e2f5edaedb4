import { describe, expect, test } from 'vitest';
import { counterOf, formatTerm, type Grantee, granteeOf, NO_TERM, termAbove, termOf } from './term.ts';

const kernelTo = (instance: number): Grantee => ({ instance, by: 'kernel' });
const itself = (instance: number): Grantee => ({ instance, by: 'itself' });

describe('terms', () => {
  test('a higher counter wins, then a grant of a Kernel, then the lower instance', () => {
    const ascending = [
      NO_TERM,
      termOf(1, itself(15)),
      termOf(1, itself(2)),
      termOf(1, itself(1)),
      termOf(1, kernelTo(15)),
      termOf(1, kernelTo(1)),
      termOf(2, itself(15)),
      termOf(2, itself(2)),
    ];
    expect(ascending.toSorted((a, b) => a - b)).toEqual(ascending);
    expect(new Set(ascending).size).toBe(ascending.length);
  });

  test('tells who granted it, and to whom', () => {
    for (const grantee of [kernelTo(1), kernelTo(15), itself(2), itself(15)]) {
      expect(granteeOf(termOf(7, grantee))).toEqual(grantee);
      expect(counterOf(termOf(7, grantee))).toBe(7);
    }
    expect(granteeOf(NO_TERM)).toBeNull();
  });

  test('is never the same for two instances, whoever grants and whatever each of them has seen', () => {
    for (let seen = NO_TERM; seen < termOf(4, itself(1)); seen++) {
      for (let other = NO_TERM; other < termOf(4, itself(1)); other++) {
        expect(termAbove(seen, kernelTo(1))).not.toBe(termAbove(other, kernelTo(2)));
        expect(termAbove(seen, kernelTo(1))).not.toBe(termAbove(other, itself(2)));
        expect(termAbove(seen, itself(1))).not.toBe(termAbove(other, itself(2)));
      }
    }
  });

  test('the next one is above all that was seen, whoever grants it, and to whomever', () => {
    const seen = termOf(7, kernelTo(1));
    expect(termAbove(seen, itself(15))).toBeGreaterThan(seen);
    expect(termAbove(seen, kernelTo(15))).toBeGreaterThan(seen);
    expect(termAbove(NO_TERM, kernelTo(1))).toBe(termOf(1, kernelTo(1)));
  });

  test('reads well', () => {
    expect(formatTerm(termOf(7, kernelTo(2)))).toBe('7 by the Kernel');
    expect(formatTerm(termOf(8, itself(2)))).toBe('8 by instance 2');
    expect(formatTerm(NO_TERM)).toBe('none');
  });
});
