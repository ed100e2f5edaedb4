import { expect, test } from 'vitest';
import { NEVER_HEARD, stillMs } from './listened-time.ts';

test('time passes as ever before anybody was heard, and while somebody is', () => {
  expect(stillMs(NEVER_HEARD, 5000)).toBe(0);
  expect(stillMs({ heardMs: 5000, allowanceMs: 600 }, 5600)).toBe(0);
});

test('time stands still when nobody was heard for the allowance', () => {
  expect(stillMs({ heardMs: 1000, allowanceMs: 600 }, 1601)).toBe(1);
  expect(stillMs({ heardMs: 1000, allowanceMs: 600 }, 4000)).toBe(2400);
});
