import { expect, test } from 'vitest';
import { singleNode } from '../topologies/figures/single-node.ts';
import { runFigure } from '../topologies/run.ts';

// The others, in networks of their own, are among the full tests.
test('figure 1, a single node, holds on the loopback', async () => {
  const { proofs, holds } = await runFigure(singleNode, 'loopback');
  expect(holds, JSON.stringify(proofs)).toBe(true);
  expect(proofs['ServerApp1']?.produced).toBeGreaterThan(20);
});
