import { expect, it } from 'vitest';
import { faultsOf, liesOf, switchesOf } from '../redundancy/explorations.ts';
import { type Exploration, explore } from '../redundancy/explorer.ts';

type Case = readonly [name: string, exploration: () => Exploration];

const CASES: readonly Case[] = [['two faults, operators among them', () => switchesOf(2)]];

/** Some two minutes of a core each: KOM_EXPLORE=all runs them too. */
const MORE_CASES: readonly Case[] = [
  ['two faults', () => faultsOf(2)],
  ['two faults, instance 1 is preferred', () => faultsOf(2, { preferred: 1 })],
  ['two faults, instance 2 is preferred', () => faultsOf(2, { preferred: 2 })],
  ['two faults, evidence that lies among them', () => liesOf(2)],
];

it.each([...CASES, ...(process.env['KOM_EXPLORE'] === 'all' ? MORE_CASES : [])])(
  'all histories of two instances and a Kernel with %s, the first at any point of a round',
  (_, exploration) => {
    const explored = explore({ ...exploration(), depthWithin: 1 });
    expect(explored.broken).toBeNull();
    expect(explored.isComplete).toBe(true);
    expect(explored.states).toBeGreaterThan(800_000);
  },
  1_200_000,
);
