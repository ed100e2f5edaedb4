import { expect, it } from 'vitest';
import { KERNELS_MUTATIONS } from '../simulation/kernels-mutations.ts';
import { MUTATIONS } from '../simulation/mutations.ts';
import { PAIR_MUTATIONS } from '../simulation/pair-mutations.ts';
import { runSeed } from '../simulation/run.ts';

const ALL_MUTATIONS = Object.entries({ ...MUTATIONS, ...PAIR_MUTATIONS, ...KERNELS_MUTATIONS });

it.each(ALL_MUTATIONS)('%s, a planted defect, is found within 50 seeds', async (_, make) => {
  const red: number[] = [];
  for (let seed = 1; seed <= 50 && red.length === 0; seed++) {
    const { findings } = await runSeed(seed, { mutation: make() });
    if (findings.length > 0) red.push(seed);
  }
  expect(red).not.toEqual([]);
});
