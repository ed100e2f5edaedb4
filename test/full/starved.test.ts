import { expect, it } from 'vitest';
import { runStarved } from '../simulation/starved.ts';

/*
 * Small boxes with `profile: small`, on virtual time:
 * little CPU and slow disks are no reason for a takeover.
 */

const HOUR_MS = 3_600_000;
const SMALL = { peerTimeoutMs: 3000, syncMaxMs: 2000 };
/** A tenth of a CPU. */
const TENTH = { periodMs: 100, withheldMs: 90 };

it('an hour with a tenth of a CPU and 2 s in a fsync moves no role', async () => {
  const kernelDownMs = [HOUR_MS / 3, (2 * HOUR_MS) / 3] as const;
  const starved = await runStarved({ seed: 1, ...SMALL, ...TENTH, runMs: HOUR_MS, kernelDownMs });
  console.info(starved);
  expect(starved.failures).toEqual([]);
  expect(starved.moves).toEqual([]);
  expect(starved.stalls).toBeGreaterThan(35_000);
  expect(starved.samples).toBeGreaterThan(10_000);
});

it('who gets nothing for longer than a lease does lose its role: such moves are seen', async () => {
  const kernelDownMs = [60_000, 120_000] as const;
  const withheld = { periodMs: 4000, withheldMs: 3800 };
  const { moves } = await runStarved({ seed: 1, ...SMALL, ...withheld, runMs: 180_000, kernelDownMs });
  expect(moves.length).toBeGreaterThan(2);
});
