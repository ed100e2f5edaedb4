import { expect, it } from 'vitest';
import { fuzz } from './fuzz/fuzz.ts';

it('damaged traffic of a fixed seed crashes and hangs nothing, and disturbs no honest session', async () => {
  const options = { seed: 20, isOver: (turns: number) => turns >= 2, heapBytes: () => null };
  const result = await fuzz({ ...options, nowMs: () => performance.now() });
  expect(result.failures).toEqual([]);
  expect(result.inputs).toMatchObject({ frames: 600, messages: 600, blocks: 600 });
  expect(result.inputs['kernel']).toBeGreaterThanOrEqual(40);
  expect(result.inputs['agent']).toBeGreaterThanOrEqual(40);
  expect(result.inputs['hello']).toBeGreaterThanOrEqual(40);
});
