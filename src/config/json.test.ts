import { describe, expect, it } from 'vitest';
import { duplicateKeys, parseJson, withoutComments } from './json.ts';
import { editDistance, formatPath, nearestName } from './problems.ts';

describe('JSON files', () => {
  it('finds keys that stand twice, wherever they are', () => {
    const text = '{"a":{"P1":1,"P2":{"x":[{"k":1},{"k":1,"k":2}]},"P1":2},"b":"{\\"a\\":1,\\"a\\":2}"}';
    expect(duplicateKeys(text).map(formatPath)).toEqual(['$.a.P2.x[1].k', '$.a.P1']);
  });

  it('knows an escaped key as the same key', () => {
    expect(duplicateKeys('{"a":1,"\\u0061":2}').map(formatPath)).toEqual(['$.a']);
  });

  it('names the place of a duplicate', () => {
    expect(() => parseJson('{"a":1,"a":2}', 'site.json')).toThrow('$.a: the key stands twice');
  });

  it('says what is wrong with text that is no JSON', () => {
    expect(() => parseJson('{"a":1,}', 'site.json')).toThrow('site.json is not JSON');
  });

  it('takes a byte order mark', () => {
    expect(parseJson('\uFEFF{"a":1}', 'site.json')).toEqual({ a: 1 });
  });

  it('drops remarks at any depth', () => {
    expect(withoutComments({ $comment: 'x', a: [{ $comment: ['y'], b: 1 }] })).toEqual({ a: [{ b: 1 }] });
  });
});

describe('suggestions', () => {
  it('counts edits', () => {
    expect(editDistance('kitten', 'sitting')).toBe(3);
    expect(editDistance('', 'abc')).toBe(3);
  });

  it('finds a near name and no far one', () => {
    expect(nearestName('adress', ['address', 'unit'])).toBe('address');
    expect(nearestName('colour', ['address', 'unit'])).toBeUndefined();
  });

  it('quotes steps of a path that are no plain names', () => {
    expect(formatPath(['a', 0, 'pump 1', '$schema'])).toBe('$.a[0]["pump 1"].$schema');
  });
});
