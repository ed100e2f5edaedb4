import { expect, test } from 'vitest';
import type { Coverage } from '../../domain/coverage.ts';
import type { Register, StreamRow } from './register.ts';
import { hasRegressed } from './register-reads.ts';

function registerOf(coverage: Readonly<Record<string, Coverage>>, dictionaries: readonly string[]): Register {
  const ids = Object.keys(coverage);
  return {
    tags: new Map(),
    tagsById: new Map(),
    dictionaries: new Map(dictionaries.map((hash, id) => [hash, id])),
    streams: new Map(ids.map((id) => [id, { streamId: id } as StreamRow])),
    streamsById: new Map(),
    coverage: new Map(Object.entries(coverage)),
    steps: { 'clock-offset': new Map(), term: new Map() },
    clockFixes: new Map(),
  };
}

const data = (first: number, last: number) => ({ first, last, state: 'data' as const });
const gap = (first: number, last: number) => ({ first, last, state: 'evicted' as const });

test('an archive has regressed where something that was archived is gone, and only there', () => {
  const before = registerOf({ a: [data(1, 5), gap(6, 7), data(8, 9)], b: [] }, ['x']);
  const after = (a: Coverage, dictionaries = ['x']) => registerOf({ a, b: [] }, dictionaries);
  for (const there of [
    [data(1, 5), gap(6, 7), data(8, 9)],
    [data(1, 20)],
    [data(1, 5), data(8, 9)],
    [data(1, 5), data(6, 9)],
  ]) {
    expect(hasRegressed(before, after(there, ['y', 'x']))).toBe(false);
  }
  for (const there of [[], [data(1, 5), gap(6, 7)], [data(2, 9)], [data(1, 7), gap(8, 9)]]) {
    expect(hasRegressed(before, after(there))).toBe(true);
  }
  expect(hasRegressed(before, after([data(1, 9)], []))).toBe(true);
  expect(hasRegressed(before, registerOf({ a: [data(1, 9)] }, ['x']))).toBe(true);
});
