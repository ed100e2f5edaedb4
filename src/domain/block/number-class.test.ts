import fc from 'fast-check';
import { expect, it } from 'vitest';
import { floatOf, integerOf, isNumberClass, NumberClass, widerClass } from './number-class.ts';

const decimal = fc
  .tuple(fc.integer({ min: -(2 ** 45), max: 2 ** 45 }), fc.nat({ max: 9 }))
  .map(([integer, digits]) => integer / 10 ** digits);

it('an integer stands for a number to the last bit, or not at all', () => {
  fc.assert(
    fc.property(fc.oneof(fc.double(), fc.float(), decimal, decimal.map(Math.fround)), (value) => {
      const code = widerClass(value, -1);
      expect(isNumberClass(code)).toBe(true);
      for (let each = 0; each < NumberClass.raw; each++) {
        if (!isNumberClass(each)) continue;
        const integer = integerOf(value, each);
        if (Number.isNaN(integer)) expect(each).not.toBe(code);
        else expect(Object.is(floatOf(integer, each), value), `${value} as ${each}`).toBe(true);
      }
    }),
    { numRuns: 2000 },
  );
});

it('takes the narrowest class there is', () => {
  const classes = [0, -7, 21.5, 0.001, 1e12 + 0.5, Math.fround(23.4), Math.fround(Math.PI), -0, Math.PI];
  expect(classes.map((value) => widerClass(value, -1))).toEqual([0, 0, 1, 3, 1, 17, 30, 30, 31]);
  expect([Number.NaN, Infinity, 5e-324].map((value) => widerClass(value, -1))).toEqual([31, 30, 31]);
});
