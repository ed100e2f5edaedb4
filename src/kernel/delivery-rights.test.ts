import { expect, it } from 'vitest';
import { deliveryRights } from './delivery-rights.ts';

const by = (sessionId: string, own: string[], mirrored: string[]) => ({
  sessionId,
  own: new Set(own),
  mirrored: new Set(mirrored),
});
const rights = (deliverers: ReturnType<typeof by>[], before: Record<string, string> = {}) =>
  Object.fromEntries(deliveryRights(deliverers, new Map(Object.entries(before))));

it('gives a stream to one connection: its owner, else who has it, else the first that mirrors it', () => {
  expect(rights([])).toEqual({});
  expect(rights([by('one', ['a'], []), by('two', ['b'], ['a'])])).toEqual({});
  expect(rights([by('two', ['b'], ['a'])])).toEqual({ a: 'two' });
  expect(rights([by('two', [], ['a', 'c']), by('three', ['c'], ['a'])])).toEqual({ a: 'two' });
  expect(rights([by('two', [], ['a']), by('three', [], ['a'])], { a: 'three' })).toEqual({ a: 'three' });
});

it('takes it back when the owner comes, and when the holder goes or has nothing left', () => {
  const before = { a: 'two' };
  expect(rights([by('two', [], ['a']), by('one', ['a'], [])], before)).toEqual({});
  expect(rights([by('three', [], ['a'])], before)).toEqual({ a: 'three' });
  expect(rights([by('two', [], []), by('three', [], ['a'])], before)).toEqual({ a: 'three' });
  expect(rights([by('one', ['z'], []), by('two', [], ['a'])], before), 'a new store of the owner').toEqual({
    a: 'two',
  });
});
