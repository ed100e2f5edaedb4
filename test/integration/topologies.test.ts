import { expect, test } from 'vitest';
import { FIGURES, runFigure } from '../topologies/run.ts';

// The others, and these in networks of their own, are among the full tests.
const QUICK = FIGURES.filter(({ isQuick }) => isQuick === true);

test.for(QUICK.map((figure) => [figure.number, figure.title, figure] as const))(
  'figure %i holds on the loopback: %s',
  async ([_number, _title, figure]) => {
    const { proofs, holds } = await runFigure(figure, 'loopback');
    expect(holds, JSON.stringify(proofs)).toBe(true);
    for (const kernel of figure.complete) expect(proofs[kernel]?.produced).toBeGreaterThan(20);
  },
);
