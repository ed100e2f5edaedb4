import { expect, it } from 'vitest';
import { runSeed } from '../simulation/run.ts';

it('600 seeds of the simulation hold', { timeout: 1_200_000 }, async () => {
  const failed: string[] = [];
  for (let seed = 100_000; seed < 100_600 && failed.length < 5; seed++) {
    const { findings } = await runSeed(seed, { kind: 'single' });
    if (findings.length > 0) failed.push(`npm run sim -- --kind single --seed ${seed}: ${findings[0]}`);
  }
  expect(failed).toEqual([]);
});

/** Of two instances; each failed once. */
const PAIR_SEEDS = [
  // An overload of one store was shown as a hole of the alarms, which have a store of their own.
  ...[1052, 1180],
  // Of two gaps at one time the one of who stood by was told, and not why the active one saw nothing.
  114,
  // A mirror deleted a segment that something had been written to since it was empty.
  1081,
  // A store was lost while the dead session that had named it was not over, and nobody declared that.
  1119,
  // The simulation took one that goes on after a stall for one that has just taken over.
  2029,
  // What a hot standby saw before its line was lost was told at a takeover long after, as if it held since.
  2080,
];

it('seeds with two instances hold', { timeout: 1_200_000 }, async () => {
  const failed: string[] = [];
  const first = Array.from({ length: 20 }, (_, at) => 1 + at);
  for (const seed of [...PAIR_SEEDS, ...first]) {
    const { findings } = await runSeed(seed, { kind: 'pair' });
    if (findings.length > 0) failed.push(`npm run sim -- --kind pair --seed ${seed}: ${findings[0]}`);
  }
  expect(failed).toEqual([]);
});
