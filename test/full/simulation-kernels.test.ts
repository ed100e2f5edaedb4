import { expect, it } from 'vitest';
import { runSeed } from '../simulation/run.ts';

/** Of two instances and several Kernels; each failed once. */
const SITE_SEEDS = [
  // A session that was over took what the ring gave; the one after it went on behind that.
  1010,
  // Two Kernels that met drove up their terms; what a mirror delivered early stayed in the ring of its owner.
  1017,
  // A disk took no mark of a run that became active and was killed: it was told to have ended cleanly.
  795909617,
];

it('seeds of a whole site hold', { timeout: 1_200_000 }, async () => {
  const failed: string[] = [];
  const first = Array.from({ length: 12 }, (_, at) => 1 + at);
  for (const seed of [...SITE_SEEDS, ...first]) {
    const { findings } = await runSeed(seed, { kind: 'site' });
    if (findings.length > 0) failed.push(`npm run sim -- --kind site --seed ${seed}: ${findings[0]}`);
  }
  expect(failed).toEqual([]);
});

it('seeds with two Kernels hold', { timeout: 1_200_000 }, async () => {
  const failed: string[] = [];
  for (let seed = 1; seed <= 50 && failed.length < 5; seed++) {
    const { findings } = await runSeed(seed, { kind: 'kernels' });
    if (findings.length > 0) failed.push(`npm run sim -- --kind kernels --seed ${seed}: ${findings[0]}`);
  }
  expect(failed).toEqual([]);
});

it('seeds with Kernels that share a database hold', { timeout: 1_200_000 }, async () => {
  const failed: string[] = [];
  for (let seed = 1; seed <= 16; seed++) {
    const { findings } = await runSeed(seed, { kind: 'shared' });
    if (findings.length > 0) failed.push(`npm run sim -- --kind shared --seed ${seed}: ${findings[0]}`);
  }
  expect(failed).toEqual([]);
});
