import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runInterrupted, type Trouble } from './simulation/interrupted.ts';
import { runSeed } from './simulation/run.ts';

/** Seeds that failed once, one a line: the number, then what it found. */
function regressionSeeds(): number[] {
  const text = readFileSync(new URL('./simulation/seeds.txt', import.meta.url), 'utf8');
  return text.split('\n').flatMap((line) => (/^\d+/.test(line) ? [Number.parseInt(line, 10)] : []));
}

describe('simulation', () => {
  it('holds for fixed seeds and for those that failed once', { timeout: 120_000 }, async () => {
    const fixed = Array.from({ length: 40 }, (_, at) => 1 + at);
    for (const seed of new Set([...regressionSeeds(), ...fixed])) {
      const { findings } = await runSeed(seed, { kind: 'single' });
      expect(findings, `npm run sim -- --seed ${seed}`).toEqual([]);
    }
  });

  it('holds for fixed seeds with two instances', { timeout: 120_000 }, async () => {
    for (let seed = 1; seed <= 3; seed++) {
      const { findings } = await runSeed(seed, { kind: 'pair' });
      expect(findings, `npm run sim -- --seed ${seed} --kind pair`).toEqual([]);
    }
  });

  it('holds for fixed seeds with two Kernels', { timeout: 120_000 }, async () => {
    for (let seed = 1; seed <= 2; seed++) {
      const { findings } = await runSeed(seed, { kind: 'kernels' });
      expect(findings, `npm run sim -- --seed ${seed} --kind kernels`).toEqual([]);
    }
  });

  it('holds for a fixed seed of a whole site', { timeout: 120_000 }, async () => {
    const { findings } = await runSeed(14, { kind: 'site' });
    expect(findings, 'npm run sim -- --seed 14 --kind site').toEqual([]);
  });

  it('holds for a fixed seed with Kernels that share a database', { timeout: 120_000 }, async () => {
    const { findings } = await runSeed(3, { kind: 'shared' });
    expect(findings, 'npm run sim -- --seed 3 --kind shared').toEqual([]);
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

/** What the history itself loses: it restarts, and its ring is small. */
const OWN_REASONS = ['agent-stopped', 'evicted'];

describe('a history with everything that the protocol has', () => {
  it('says each message on each lane', async () => {
    const { findings, steps, reasons } = await runInterrupted(null);
    expect(findings).toEqual([]);
    expect(reasons).toEqual(OWN_REASONS);
    const said = new Set(steps.map(({ from, lane, type }) => `${from} ${lane} ${type}`));
    const agent = ['control hello', 'control heartbeat', 'control live', 'control bye'];
    agent.push('data hello', 'data dictionary', 'data block', 'data gap', 'data streamEnd', 'data bye');
    const kernel = ['control welcome', 'control heartbeat', 'data welcome', 'data ack', 'data heartbeat'];
    const expected = [...agent.map((each) => `agent ${each}`), ...kernel.map((each) => `kernel ${each}`)];
    expect(expected.filter((each) => !said.has(each))).toEqual([]);
  });

  // The full tests do the rest: a cut before and within each message, a hanging link, dying processes.
  it('loses and doubles nothing when the link is cut behind any step', { timeout: 180_000 }, async () => {
    const { steps } = await runInterrupted(null);
    for (const [index, step] of steps.entries()) {
      // Around a heartbeat the rest stands as around its neighbours.
      if (step.type !== 'heartbeat') await holds({ at: index + 1, message: 'cut-behind' }, step.type);
    }
  });

  it('loses and doubles nothing when the Kernel dies in any commit', { timeout: 60_000 }, async () => {
    const { commits } = await runInterrupted(null);
    for (let at = 1; at <= commits; at++) await holds({ at, commit: 'in' }, 'commit');
  });
});

async function holds(trouble: Trouble, what: string): Promise<void> {
  const { findings, reasons } = await runInterrupted(trouble);
  expect(findings, `${what} ${JSON.stringify(trouble)}`).toEqual([]);
  expect(reasons, `${what} ${JSON.stringify(trouble)}`).toEqual(OWN_REASONS);
}
