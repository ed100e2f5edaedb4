import { describe, expect, it } from 'vitest';
import { MESSAGE_TROUBLES, runInterrupted, type Trouble } from '../simulation/interrupted.ts';
import { MUTATIONS } from '../simulation/mutations.ts';
import { PAIR_MUTATIONS } from '../simulation/pair-mutations.ts';
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

const ALL_MUTATIONS = Object.entries({ ...MUTATIONS, ...PAIR_MUTATIONS });

it.each(ALL_MUTATIONS)('%s, a planted defect, is found within 50 seeds', async (_, make) => {
  const red: number[] = [];
  for (let seed = 1; seed <= 50 && red.length === 0; seed++) {
    const { findings } = await runSeed(seed, { mutation: make() });
    if (findings.length > 0) red.push(seed);
  }
  expect(red).not.toEqual([]);
});

describe('a history with everything that the protocol has', () => {
  it.each(MESSAGE_TROUBLES)('holds with %s at any message', async (message) => {
    const { steps } = await runInterrupted(null);
    await holdsAt(steps.length, (at) => ({ at, message }));
  });

  it.each(['before', 'in', 'after'] as const)('holds with a crash %s any commit', async (commit) => {
    const { commits } = await runInterrupted(null);
    await holdsAt(commits, (at) => ({ at, commit }));
  });

  it.each(['agent-kill', 'power-cut'] as const)('holds with %s at any write of the disk', async (write) => {
    const { writes } = await runInterrupted(null);
    await holdsAt(writes, (at) => ({ at, write }));
  });
});

async function holdsAt(places: number, troubleAt: (at: number) => Trouble): Promise<void> {
  expect(places).toBeGreaterThan(20);
  for (let at = 1; at <= places; at++) {
    const trouble = troubleAt(at);
    expect((await runInterrupted(trouble)).findings, JSON.stringify(trouble)).toEqual([]);
  }
}
