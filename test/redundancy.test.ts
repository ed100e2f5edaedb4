import { describe, expect, it } from 'vitest';
import { DEFECTS } from './redundancy/defects.ts';
import { defectiveOf, faultsOf, healthyOf, liesOf, switchesOf } from './redundancy/explorations.ts';
import { explore } from './redundancy/explorer.ts';

/** What `npm test` has time for; the full tests go deeper. */
const TIME_OUT_MS = 300_000;

describe('all histories of two instances and a Kernel', () => {
  it.each([0, 2])(
    'with a fault at any point (preferred: %i)',
    (preferred) => {
      const explored = explore(faultsOf(1, { preferred }));
      expect(explored.broken).toBeNull();
      expect(explored.isComplete).toBe(true);
      expect(explored.states).toBeGreaterThan(10_000);
    },
    TIME_OUT_MS,
  );

  it(
    'with a second fault, as many as there is time for',
    () => {
      const explored = explore({ ...faultsOf(2), depthWithin: 1, statesMax: 80_000 });
      expect(explored.broken).toBeNull();
      expect(explored.states).toBeGreaterThanOrEqual(80_000);
    },
    TIME_OUT_MS,
  );

  it(
    'with an operator, or evidence that lies',
    () => {
      expect(explore(switchesOf(1)).broken).toBeNull();
      expect(explore(liesOf(1)).broken).toBeNull();
    },
    TIME_OUT_MS,
  );

  it(
    'where messages are a little late, nobody is active beside another and no role moves',
    () => {
      const explored = explore(healthyOf(2));
      expect(explored.broken).toBeNull();
      expect(explored.isComplete).toBe(true);
    },
    TIME_OUT_MS,
  );
});

describe('a planted defect is found', () => {
  it.each(DEFECTS)(
    '$name',
    ({ product, rule, faults }) => {
      const { broken } = explore(defectiveOf(product, faults));
      expect(broken?.rule).toMatch(rule);
    },
    TIME_OUT_MS,
  );
});
