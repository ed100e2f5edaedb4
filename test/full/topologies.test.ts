import { expect, type TestContext, test } from 'vitest';
import { noNamespaces } from '../integration/support/namespaces.ts';
import { defaultPlace, FIGURES, reasonAgainst, runFigure } from '../topologies/run.ts';

const missing = noNamespaces();
if (missing !== null) console.warn(`architectures run on the loopback, without their cables: ${missing}`);

test.for(FIGURES.map((figure) => [figure.number, figure.title, figure] as const))(
  'figure %i: %s',
  async ([_number, _title, figure], context: TestContext) => {
    const reason = reasonAgainst(figure);
    if (reason !== null) {
      console.warn(`figure ${figure.number} is skipped: ${reason}`);
      context.skip(reason);
    }
    const { proofs, holds } = await runFigure(figure, defaultPlace());
    expect(holds, JSON.stringify(proofs)).toBe(true);
    for (const kernel of figure.complete) expect(proofs[kernel]?.produced).toBeGreaterThan(20);
  },
);
