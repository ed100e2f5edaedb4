import { expect, it } from 'vitest';
import { CatchUp } from './catch-up.ts';

it('tells the pace and the time left, with what is new meanwhile', () => {
  const catchUp = new CatchUp();
  // 1,000 a second come, 100 of them new.
  for (let second = 0; second <= 10; second++) {
    catchUp.note(second * 1000, second * 1000, 90_000 - second * 900);
  }
  const { lackedAtMost, arrivedPerS, leftMs } = catchUp.status(81_000);
  expect(lackedAtMost).toBe(90_000);
  expect(arrivedPerS).toBeCloseTo(1000);
  expect(leftMs).toBeCloseTo(90_000, -1);
});

it('sees no end where no less is lacking', () => {
  const catchUp = new CatchUp();
  for (let second = 0; second <= 10; second++) catchUp.note(second * 1000, second * 100, 5000);
  expect(catchUp.status(5000)).toMatchObject({ arrivedPerS: 100, leftMs: null });
});

it('begins anew when everything was there, and with another connection', () => {
  const catchUp = new CatchUp();
  catchUp.note(0, 0, 500);
  catchUp.note(1000, 500, 0);
  catchUp.note(2000, 500, 20);
  expect(catchUp.status(20).lackedAtMost).toBe(20);
  catchUp.clear();
  expect(catchUp.status(0)).toEqual({ lackedAtMost: 0, arrivedPerS: null, leftMs: null });
});
