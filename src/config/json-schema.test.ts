import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isObject } from './json.ts';
import { jsonSchemaOf, keyTables, schemaText } from './json-schema.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

describe('JSON Schema', () => {
  it('is the committed site.schema.json (else: npm run schema)', () => {
    expect(read('site.schema.json')).toBe(schemaText('site'));
  });

  it.each(['site', 'kernel'] as const)('describes every key of the %s file', (kind) => {
    const silent: string[] = [];
    const walk = (value: unknown, path: string): void => {
      if (Array.isArray(value)) for (const [at, each] of value.entries()) walk(each, `${path}/${at}`);
      if (!isObject(value)) return;
      const properties = isObject(value['properties']) ? value['properties'] : {};
      for (const [name, property] of Object.entries(properties)) {
        const text = isObject(property) ? property['description'] : undefined;
        if (typeof text !== 'string' || text.length < 8) silent.push(`${path}/${name}`);
      }
      for (const [key, each] of Object.entries(value)) walk(each, `${path}/${key}`);
    };
    walk(jsonSchemaOf(kind), '');
    expect(silent).toEqual([]);
  });

  it('refuses unknown keys and allows remarks', () => {
    const schema = jsonSchemaOf('site');
    expect(schema['additionalProperties']).toBe(false);
    expect(schema['properties']).toHaveProperty('$comment');
  });
});

describe('docs/CONFIGURATION.md', () => {
  it.each(['site', 'kernel'] as const)('has the current tables of the %s file', (kind) => {
    // Else: kom schema --tables (with --kernel), pasted between the marks.
    const text = read('docs/CONFIGURATION.md');
    const [, table] = text.split(`<!-- keys of the ${kind} file -->\n`);
    const [current] = (table ?? '').split('\n<!-- end -->');
    expect(current).toBe(keyTables(kind));
  });
});
