import { expect, it } from 'vitest';
import { ALL_MUTATIONS } from '../simulation/command.ts';
import { runSeed } from '../simulation/run.ts';

it.each(Object.entries(ALL_MUTATIONS))('%s, a planted defect, is found within 50 seeds', async (_, make) => {
  const red: number[] = [];
  for (let seed = 1; seed <= 50 && red.length === 0; seed++) {
    const { findings } = await runSeed(seed, { mutation: make() });
    if (findings.length > 0) red.push(seed);
  }
  expect(red).not.toEqual([]);
});
