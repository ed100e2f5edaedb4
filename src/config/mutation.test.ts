import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isObject, valueAt } from './json.ts';
import { ConfigProblems, resolveSite } from './load.ts';

type Steps = (string | number)[];

const text = readFileSync(new URL('../../examples/site.json', import.meta.url), 'utf8');
const directory = resolve('examples');

function placesOf(value: unknown, path: Steps = []): Steps[] {
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? value.map((each, at) => [at, each])
    : isObject(value)
      ? Object.entries(value)
      : [];
  return [path, ...entries.flatMap(([key, each]) => placesOf(each, [...path, key]))];
}

function put(root: unknown, path: Steps, value: unknown): unknown {
  const key = path.at(-1);
  if (key === undefined) return value;
  const holder = valueAt(root, path.slice(0, -1));
  if (Array.isArray(holder) && typeof key === 'number') holder[key] = value;
  if (isObject(holder)) holder[String(key)] = value;
  return root;
}

describe('a spoilt site file', () => {
  it('either loads or has its problems named: nothing else is thrown', { timeout: 60_000 }, () => {
    const places = placesOf(JSON.parse(text));
    const change = fc.record({
      path: fc.constantFrom(...places),
      value: fc.oneof(
        fc.jsonValue({ maxDepth: 2 }),
        fc.constantFrom('constructor', '{', '{base}', '-1', '1s', 0, -1, 1e300, { csv: 'x' }, [], {}, null),
      ),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const raw = changes.reduce<unknown>(
          (root, { path, value }) => put(root, path, value),
          JSON.parse(text),
        );
        try {
          resolveSite(raw, { directory });
        } catch (error) {
          if (!(error instanceof ConfigProblems)) throw error;
          expect(error.problems.length).toBeGreaterThan(0);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('names a key that is wrong anywhere at its place', { timeout: 60_000 }, () => {
    const objects = placesOf(JSON.parse(text)).filter((path) => isObject(valueAt(JSON.parse(text), path)));
    for (const path of objects) {
      const raw: unknown = JSON.parse(text);
      put(raw, [...path, 'zzz zzz!'], 1);
      try {
        resolveSite(raw, { directory });
        expect.unreachable(`accepted at ${path.join('.')}`);
      } catch (error) {
        if (!(error instanceof ConfigProblems)) throw error;
        expect(error.problems.map((problem) => problem.path).join(' ')).toContain('zzz zzz!');
      }
    }
  });

  it('has no key that reaches a prototype', () => {
    const raw = JSON.parse(text.replace('"site":', '"__proto__": {"polluted": 1}, "site":'));
    expect(() => resolveSite(raw, { directory })).toThrow('$.__proto__: not a name');
    expect({}).not.toHaveProperty('polluted');
  });
});
