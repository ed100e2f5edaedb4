import { expect, test } from 'vitest';
import { LiveTable } from './live-table.ts';

const sample = (tagIndex: number, value: string) =>
  ({ tagIndex, sourceTimeUs: 1_800_000_000_000_000, value, quality: 0, cause: 'change' }) as const;

test('a frame is bounded by its texts as well, and a text that fits into none is left to the archive', () => {
  const table = new LiveTable(6);
  for (const tagIndex of [0, 1, 2, 4, 5]) table.update(sample(tagIndex, 'x'.repeat(300_000)), tagIndex + 1);
  table.update(sample(3, 'y'.repeat(2_000_000)), 7);
  const frames: number[][] = [];
  for (let values = table.take(1000); values.length > 0; values = table.take(1000)) {
    frames.push(values.map(({ tagIndex }) => tagIndex));
    const bytes = values.reduce((sum, { value }) => sum + String(value).length, 0);
    expect(bytes).toBeLessThanOrEqual(1_048_576);
  }
  expect(frames.flat().sort()).toEqual([0, 1, 2, 4, 5]);
  expect(frames.length).toBe(2);
});

test('a session is told every tag once, and then only what changes while the archive lane is behind', () => {
  const table = new LiveTable(3);
  for (const tagIndex of [0, 1, 2]) table.update(sample(tagIndex, 'a'), tagIndex + 1);
  table.clearChanged();
  expect(table.hasChanges, 'before any session').toBe(false);
  table.markAllChanged();
  expect(table.take(2).map(({ tagIndex }) => tagIndex)).toEqual([0, 1]);
  table.update(sample(0, 'b'), 4);
  table.clearChanged();
  expect(table.take(9).map(({ tagIndex }) => tagIndex)).toEqual([2]);
  table.update(sample(1, 'b'), 5);
  table.clearChanged();
  expect(table.hasChanges).toBe(false);
});
