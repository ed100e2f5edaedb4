import { expect, it } from 'vitest';
import { AddressChoice } from './address-choice.ts';

function* doubling(): Generator<number, never> {
  for (let delayMs = 100; ; delayMs *= 2) yield delayMs;
}
const make = (count = 3): AddressChoice =>
  new AddressChoice({ addresses: [...Array(count).keys()], newDelaysMs: doubling, returnAfterMs: 30_000 });

it('tries all at first, the preferred one first', () => {
  expect(make().due(0)).toEqual([0, 1, 2]);
});

it('leaves a failed one alone for its own time, and the others are tried', () => {
  const choice = make();
  choice.failed(0, { nowMs: 0, error: 'refused' });
  expect(choice.due(0)).toEqual([1, 2]);
  choice.failed(1, { nowMs: 0, error: 'refused' });
  choice.failed(2, { nowMs: 0, error: 'refused' });
  choice.failed(2, { nowMs: 0, error: 'refused again' });
  expect(choice.due(50)).toEqual([]);
  expect(choice.dueInMs(50)).toBe(50);
  expect(choice.due(100)).toEqual([0, 1]);
  expect(choice.due(200)).toEqual([0, 1, 2]);
  expect(choice.states[2]).toMatchObject({ lastError: 'refused again' });
});

it('grows the delays of one address until it was stable', () => {
  const choice = make(1);
  for (const expected of [100, 200, 400]) {
    choice.failed(0, { nowMs: 0, error: 'x' });
    expect(choice.dueInMs(0)).toBe(expected);
  }
  choice.works(0, 0);
  choice.failed(0, { nowMs: 0, error: 'a short session' });
  expect(choice.dueInMs(0)).toBe(800);
  choice.stable(0);
  choice.failed(0, { nowMs: 0, error: 'x' });
  expect(choice.dueInMs(0)).toBe(100);
  choice.failed(0, { nowMs: 0, error: 'another agent took over', restMs: 5000 });
  expect(choice.dueInMs(0)).toBe(5000);
});

it('goes back to a better address only when it has answered without a break for long enough', () => {
  const choice = make();
  choice.failed(0, { nowMs: 0, error: 'refused' });
  choice.failed(1, { nowMs: 0, error: 'refused' });
  choice.works(2, 0);
  choice.probed(0, 5000, null);
  choice.probed(1, 5000, null);
  choice.probed(0, 20_000, 'refused');
  expect(choice.better(2, 34_999)).toBeNull();
  choice.probed(0, 21_000, null);
  expect(choice.better(2, 35_000)).toBe(1);
  expect(choice.better(1, 50_999)).toBeNull();
  expect(choice.better(1, 51_000), 'the best one in the end').toBe(0);
  expect(choice.better(0, 1e9), 'nothing is better than the first').toBeNull();
});
