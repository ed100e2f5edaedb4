import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runSeed } from './simulation/run.ts';

/** Seeds that failed once, one a line: the number, then what it found. */
function regressionSeeds(): number[] {
  const text = readFileSync(new URL('./simulation/seeds.txt', import.meta.url), 'utf8');
  return text.split('\n').flatMap((line) => (/^\d+/.test(line) ? [Number.parseInt(line, 10)] : []));
}

describe('simulation', () => {
  it('holds for fixed seeds and for those that failed once', { timeout: 60_000 }, async () => {
    const fixed = Array.from({ length: 40 }, (_, at) => 1 + at);
    for (const seed of new Set([...regressionSeeds(), ...fixed])) {
      const { findings } = await runSeed(seed);
      expect(findings, `npm run sim -- --seed ${seed}`).toEqual([]);
    }
  });

  it('has the same history each time that a seed runs', { timeout: 60_000 }, async () => {
    for (const seed of [3, 5, 8]) {
      const [first, second] = [await runSeed(seed), await runSeed(seed)];
      expect(first.history.length).toBeGreaterThan(10);
      expect(second.history).toEqual(first.history);
      expect(second.digest).toBe(first.digest);
    }
    expect((await runSeed(3)).digest).not.toBe((await runSeed(5)).digest);
  });
});
