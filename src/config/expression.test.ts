import { describe, expect, it } from 'vitest';
import { evaluateInteger, fillText } from './expression.ts';

const values = new Map<string, string | number>([
  ['base', 100],
  ['n', 3],
  ['name', 'P1'],
  ['ratio', 0.5],
]);

describe('integer expressions', () => {
  it.each([
    ['{base}', 100],
    ['{base}+100', 200],
    ['{base}+{n}*2', 106],
    ['({base}+{n})*2', 206],
    ['{base+n}-1', 102],
    [' 7 - 2 - 1 ', 4],
    ['-{n}+5', 2],
    ['2*(3+4)*5', 70],
  ])('%s is %i', (expression, expected) => {
    expect(evaluateInteger(expression, values)).toBe(expected);
  });

  it.each([
    ['{base', 'not a complete'],
    ['{base}+', 'not a complete'],
    ['', 'not a complete'],
    ['{base} {n}', 'not a complete'],
    ['{base}/2', '"/" is not part'],
    ['{other}', '{other} is not known here'],
    ['{name}+1', 'not an integer'],
    ['{ratio}+1', 'not an integer'],
    ['99999999999*99999999999', 'too large'],
  ])('%s is refused', (expression, reason) => {
    expect(() => evaluateInteger(expression, values)).toThrow(reason);
  });

  it('is exact beyond what a float64 can count on the way', () => {
    // 2^53 + 1 is no float64; in floating point the difference would be 0.
    expect(evaluateInteger('9007199254740993-9007199254740992', values)).toBe(1);
  });
});

describe('texts', () => {
  it('fills in parameters and arithmetic', () => {
    expect(fillText('ns=2;s={name}.flow', values)).toBe('ns=2;s=P1.flow');
    expect(fillText('ns=2;i={base+n*2}', values)).toBe('ns=2;i=106');
    expect(fillText('rate {ratio}', values)).toBe('rate 0.5');
  });

  it('keeps doubled braces as braces', () => {
    expect(fillText('{{{name}}}', values)).toBe('{P1}');
  });

  it('refuses a lone brace and an unknown name', () => {
    expect(() => fillText('a}b', values)).toThrow('without its partner');
    expect(() => fillText('{nam}', values)).toThrow('known are base, n, name, ratio');
  });
});
