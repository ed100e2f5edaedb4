import { expect, it } from 'vitest';
import type { Dictionary } from '../domain/dictionary.ts';
import { PresentValues } from './present-values.ts';

const DICTIONARY: Dictionary = {
  ...{ site: 'S', process: 'KomA' },
  tags: [{ name: 'a', station: 'P', class: 'measurement', type: 'float64', unit: '', formerly: [] }],
};
const [A1, A2, B1] = ['a1', 'a2', 'b1'].map((name) => name.padEnd(32, '0')) as [string, string, string];

/** The value that is the present one after these came, each as stream, number, term and source time. */
function presentAfter(...arrivals: readonly [string, number, number, number][]): unknown {
  const values = new PresentValues();
  for (const [streamId, instance] of [
    [A1, 1],
    [A2, 1],
    [B1, 2],
  ] as const) {
    values.name(streamId, instance);
  }
  for (const [streamId, sequence, term, sourceTimeUs] of arrivals) {
    const value = {
      tagIndex: 0,
      sequence,
      sourceTimeUs,
      quality: 0,
      value: `${streamId.slice(0, 2)}#${sequence}`,
    };
    const live = { streamId, dictionaryHash: '', values: [value] };
    values.takeLive(live, { dictionary: DICTIONARY, term, receivedAtUs: 9 });
  }
  return [...values.all()][0]?.value;
}

it('of one instance the later stream and the higher number count, whatever the times and terms say', () => {
  expect(presentAfter([A1, 5, 31, 100], [A1, 4, 31, 900])).toBe('a1#5');
  expect(presentAfter([A1, 5, 31, 900], [A2, 1, 31, 100])).toBe('a2#1');
  expect(presentAfter([A2, 1, 0, 100], [A1, 5, 31, 900])).toBe('a2#1');
});

it('of two instances the higher term counts, and under one term the later source time', () => {
  expect(presentAfter([A1, 5, 31, 900], [B1, 1, 47, 100])).toBe('b1#1');
  expect(presentAfter([B1, 1, 47, 100], [A2, 5, 31, 900])).toBe('b1#1');
  expect(presentAfter([B1, 1, 0, 100], [A1, 5, 0, 900])).toBe('a1#5');
  expect(presentAfter([B1, 1, 0, 900], [A2, 5, 0, 100])).toBe('b1#1');
});
