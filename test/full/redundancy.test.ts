import { describe, expect, it } from 'vitest';
import { faultsOf, liesOf, switchesOf } from '../redundancy/explorations.ts';
import { explore } from '../redundancy/explorer.ts';

const TIME_OUT_MS = 3_600_000;

describe('all histories of two instances and a Kernel, deeper', () => {
  it.each([0, 1, 2])(
    'with two faults, the first at any point of a round (preferred: %i)',
    (preferred) => {
      const explored = explore({ ...faultsOf(2, { preferred }), depthWithin: 1 });
      expect(explored.broken).toBeNull();
      expect(explored.isComplete).toBe(true);
    },
    TIME_OUT_MS,
  );

  it(
    'with three faults, as many as there is time for',
    () => {
      const explored = explore({ ...faultsOf(3), depthWithin: 0, statesMax: 2_000_000 });
      expect(explored.broken).toBeNull();
    },
    TIME_OUT_MS,
  );

  it.each([
    ['with an operator and a fault', switchesOf],
    ['with evidence that lies, and a fault', liesOf],
  ] as const)(
    '%s',
    (_name, explorationOf) => {
      const explored = explore({ ...explorationOf(2), depthWithin: 1 });
      expect(explored.broken).toBeNull();
    },
    TIME_OUT_MS,
  );
});
