import { expect, it } from 'vitest';
import { FAULTS } from '../simulation/options.ts';
import { runSeed } from '../simulation/run.ts';

it('2,000 seeds of the simulation hold, wall clock steps apart', { timeout: 600_000 }, async () => {
  const faults = FAULTS.filter((fault) => fault !== 'wall-step');
  const failed: string[] = [];
  for (let seed = 100_000; seed < 102_000 && failed.length < 5; seed++) {
    const { findings } = await runSeed(seed, faults);
    if (findings.length > 0) failed.push(`npm run sim -- --seed ${seed}: ${findings[0]}`);
  }
  expect(failed).toEqual([]);
});
