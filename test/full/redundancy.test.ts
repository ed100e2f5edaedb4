import { expect, it } from 'vitest';
import { faultsOf } from '../redundancy/explorations.ts';
import { explore } from '../redundancy/explorer.ts';

it('all histories of two instances and a Kernel with two faults, the first at any point of a round', () => {
  const explored = explore({ ...faultsOf(2, { preferred: 0 }), depthWithin: 1 });
  expect(explored.broken).toBeNull();
  expect(explored.isComplete).toBe(true);
}, 900_000);
