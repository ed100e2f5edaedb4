import { expect, it } from 'vitest';
import { runSeed } from '../simulation/run.ts';

it('2,000 seeds of the simulation hold', { timeout: 600_000 }, async () => {
  const failed: string[] = [];
  for (let seed = 100_000; seed < 102_000 && failed.length < 5; seed++) {
    const { findings } = await runSeed(seed, { kind: 'single' });
    if (findings.length > 0) failed.push(`npm run sim -- --kind single --seed ${seed}: ${findings[0]}`);
  }
  expect(failed).toEqual([]);
});

it('seeds with two instances hold', { timeout: 300_000 }, async () => {
  const failed: string[] = [];
  for (let seed = 1; seed <= 40; seed++) {
    const { findings } = await runSeed(seed, { kind: 'pair' });
    if (findings.length > 0) failed.push(`npm run sim -- --kind pair --seed ${seed}: ${findings[0]}`);
  }
  expect(failed).toEqual([]);
});
