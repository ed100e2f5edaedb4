import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import vitestConfig from '../vitest.config.ts';
import { HOMES, LAYERS } from './tidy/layers.ts';
import { tidy } from './tidy/rules.ts';
import { importsOf, mask, type SourceFile } from './tidy/source.ts';

const ROOT = join(import.meta.dirname, '..');
const TEST_GLOBS = (vitestConfig.test?.projects ?? []).flatMap((project) =>
  typeof project === 'object' && 'test' in project ? (project.test?.include ?? []) : [],
);

/** Files that git has or would take; nothing that is built or installed. */
function filesOfRepository(): SourceFile[] {
  const list = execFileSync('git', ['ls-files', '-z', '-co', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return list.split('\0').flatMap((path) => {
    const stat = path === '' ? undefined : statSync(join(ROOT, path), { throwIfNoEntry: false });
    if (stat === undefined || !stat.isFile()) return [];
    const bytes = readFileSync(join(ROOT, path));
    const isBinary = bytes.includes(0);
    return [
      {
        path,
        text: isBinary ? '' : bytes.toString(),
        sizeBytes: stat.size,
        isExecutable: (stat.mode & 0o100) !== 0,
      },
    ];
  });
}

it('the repository is tidy', () => {
  const files = filesOfRepository();
  expect(files.length).toBeGreaterThan(50);
  expect(tidy({ files, testGlobs: TEST_GLOBS })).toEqual([]);
});

it('every package that the program depends on has a place', () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const dependencies = { ...manifest.dependencies, ...manifest.optionalDependencies };
  const names = Object.keys(dependencies).filter((name) => !name.startsWith('node-linux-'));
  expect(names.filter((name) => HOMES[name] === undefined)).toEqual([]);
});

it('the layers have no cycle', () => {
  const visit = (layer: string, path: readonly string[]): void => {
    expect(path, `cycle: ${[...path, layer].join(' > ')}`).not.toContain(layer);
    for (const below of LAYERS[layer] ?? []) visit(below, [...path, layer]);
  };
  for (const layer of Object.keys(LAYERS)) visit(layer, []);
});

interface Fixture {
  readonly path: string;
  readonly text?: string;
  readonly sizeBytes?: number;
  readonly isExecutable?: boolean;
}

/** Findings over a handful of files, apart from those on files being unreachable unless asked for. */
function findings(fixtures: readonly Fixture[], withDeadFiles = false): string[] {
  const files = fixtures.map((fixture) => ({ text: '', sizeBytes: 0, isExecutable: false, ...fixture }));
  return tidy({ files, testGlobs: TEST_GLOBS }).filter(
    (finding) => withDeadFiles || !finding.endsWith('(dead files)'),
  );
}

/** The one finding on one file, or none. */
function finding(path: string, text: string): string | undefined {
  const found = findings([{ path, text }]);
  expect(found.length, found.join('\n')).toBeLessThanOrEqual(1);
  return found[0];
}

describe('layers', () => {
  const wrong: readonly (readonly [string, string, string])[] = [
    ['src/domain/a.ts', '../world/clock.ts', 'domain imports world; it may import nothing of ours'],
    ['src/world/a.ts', './real/clock.ts', 'let the caller pass the thing in'],
    ['src/world/simulated/a.ts', '../real/clock.ts', 'let the caller pass the thing in'],
    ['src/drivers/modbus/a.ts', '../../config/load.ts', 'it may import domain, world, config/model'],
    ['src/buffer/a.ts', '../uplink/codec.ts', 'buffer imports uplink'],
    ['src/kernel/a.ts', '../redundancy/mirror.ts', 'kernel imports redundancy'],
    ['src/agent/a.ts', '../kernel/server.ts', 'agent imports kernel'],
    ['src/agent/a.ts', '../world/real/clock.ts', 'take the interface of src/world'],
    ['src/ops/a.ts', '../cli/output.ts', 'ops imports cli'],
    ['src/main.ts', './agent/agent.ts', 'main imports agent'],
    ['src/cli/a.ts', '../../package.json', 'from outside src'],
    ['src/cli/a.ts', '../world/clock.contract.ts', 'imports the test'],
  ];
  it.each(wrong)('%s must not import %s', (path, specifier, message) => {
    for (const form of [`import { a } from '${specifier}';`, `import type { A } from '${specifier}';`]) {
      expect(finding(path, form)).toContain(message);
    }
    expect(finding(path, `export * from '${specifier}';`)).toContain(message);
    expect(finding(path, `const a = await import('${specifier}');`)).toContain(message);
    expect(finding(path, `import {\n  a,\n  type B,\n} from '${specifier}';`)).toContain(`${path}:1: `);
  });

  it('allow what lies below, oneself, and tests everything', () => {
    expect(finding('src/buffer/a.ts', "import { a } from '../domain/errors.ts';")).toBeUndefined();
    expect(finding('src/buffer/a.ts', "import type { B } from '../config/model.ts';")).toBeUndefined();
    expect(finding('src/buffer/a.ts', "import { a } from './ring.ts';")).toBeUndefined();
    expect(finding('src/domain/a.test.ts', "import { a } from '../cli/output.ts';")).toBeUndefined();
    expect(finding('src/domain/a.ts', "// import { a } from '../cli/output.ts';")).toBeUndefined();
  });

  it('know every part', () => {
    expect(finding('src/misc/a.ts', '')).toContain('belongs to no layer');
  });
});

describe('packages', () => {
  it('are imported at their place only', () => {
    expect(finding('src/uplink/a.ts', "import { z } from 'zod';")).toContain('zod belongs to src/config/');
    expect(finding('src/agent/a.ts', "import { readFile } from 'node:fs/promises';")).toContain(
      'node:fs belongs',
    );
    expect(finding('src/config/a.ts', "import * as core from 'zod/v4/core';")).toBeUndefined();
    expect(finding('src/world/real/other.ts', "import { Level } from 'level';")).toContain('level-disk.ts');
    expect(finding('src/kernel/archive/a.ts', "import('@duckdb/node-api');")).toBeUndefined();
  });

  it('need a place before they are used', () => {
    expect(finding('src/cli/a.ts', "import pad from 'left-pad';")).toContain('left-pad has no place');
  });

  it('stay out of the domain but for two, by one file each', () => {
    expect(finding('src/domain/a.ts', "import { join } from 'node:path';")).toContain('it computes only');
    const twice = ['a', 'b'].map((name) => ({
      path: `src/domain/${name}.ts`,
      text: "import { createHash } from 'node:crypto';",
    }));
    expect(findings(twice)).toEqual([
      expect.stringMatching(/b\.ts:1: node:crypto is imported by src.domain.a/),
    ]);
  });
});

describe('banned words', () => {
  const BROKEN: readonly (readonly [string, string, string])[] = [
    ['const t = Date.now();', 'Date.now: take a Clock and call wallUs', 'src/cli/a.ts'],
    ['const t = new Date();', 'take a Clock', 'src/config/a.ts'],
    ['const t = performance.now();', 'monotonicMs', 'src/world/real/a.ts'],
    ['setTimeout(run, 5);', 'sleep, schedule or repeat', 'src/cli/a.ts'],
    ['setImmediate(run);', 'schedule with 0 ms', 'src/world/simulated/clock.ts'],
    ['const s = AbortSignal.timeout(5);', 'abort a controller', 'src/cli/a.ts'],
    ['const r = Math.random();', 'take a Random', 'src/world/real/random.ts'],
    ['const e = process.env;', 'pass the value in', 'src/config/a.ts'],
    ['console.log(1);', 'take a Log', 'src/cli/a.ts'],
    ['const a = b as unknown as C;', 'narrow the type', 'src/a.test.ts'],
    ['const a = (b: any) => b;', 'say the type', 'test/a.test.ts'],
    ['const a = b as any;', 'say the type', 'test/a.test.ts'],
    ['  private a = 1;', '#name', 'test/a.test.ts'],
    ['class A extends B {}', 'only errors inherit', 'test/a.test.ts'],
  ];
  it.each(BROKEN)('%s', (text, message, allowedAt) => {
    expect(finding('src/agent/a.ts', `\n${text}`)).toContain(`src/agent/a.ts:2: `);
    expect(finding('src/agent/a.ts', text)).toContain(message);
    expect(finding(allowedAt, text)).toBeUndefined();
    expect(finding('src/agent/a.ts', `// ${text}\n/* ${text} */\nconst s = "${text}";`)).toBeUndefined();
  });

  it('hold everywhere where they are about the whole repository', () => {
    const marker = `TO${'DO'}`;
    expect(finding('docs/a.md', `a\n${marker} later`)).toContain('docs/a.md:2: ');
    expect(finding('src/cli/a.ts', `// ${marker}`)).toContain('do it now');
    expect(finding('README.md', `see /wo${'rk'}/main`)).toContain('one machine');
    expect(finding('README.md', 'in /data/work/main')).toBeUndefined();
    expect(finding('.npmrc', `registry=https://registry.np${'mjs'}.org`)).toContain('no registry host');
    expect(finding('docs/a.md', `written by a sub${'agent'}`)).toContain('not how or by whom');
    expect(finding('docs/a.md', 'see issue 4')).toContain('say why in words');
    expect(finding('test/a.test.ts', "it.only('x', () => {});")).toContain('remove .only');
    expect(finding('test/a.test.ts', "describe.concurrent.only('x', () => {});")).toContain('remove .only');
    expect(finding('bench/main.ts', 'export default 1;')).toContain('by its name');
    expect(finding('test/a.test.ts', 'export enum A { B }')).toContain('union of string literals');
  });

  it('leave the words of ordinary code alone', () => {
    const fine = [
      'class KomError extends Error {}',
      'function first<T extends object>(a: T): T { return a; }',
      `const text = \`many \${count} of any kind, Date.now()\`;`,
      'const quotient = total / count; const other = 1 / 2;',
      "const pattern = /['\"]/.exec(text); const after = 'x';",
      'const many = company.manyThings; client.setTimeout(5);',
      'class A {\n  private constructor() {}\n}',
    ];
    for (const text of fine) expect(finding('src/agent/a.ts', text)).toBeUndefined();
  });
});

describe('shape of files', () => {
  it('limits lines and columns of code, not of prose', () => {
    const long = 'x();\n'.repeat(401);
    const wide = `// ${'x'.repeat(120)}`;
    expect(finding('src/agent/a.ts', long)).toContain('401 lines; split it');
    expect(finding('src/agent/a.ts', 'x();\n'.repeat(400))).toBeUndefined();
    expect(finding('src/agent/a.ts', `\n${wide}`)).toContain('a.ts:2: 123 columns');
    expect(finding('README.md', `${wide}\n${long}`)).toBeUndefined();
  });

  it('limits the size of anything', () => {
    expect(findings([{ path: 'docs/a.png', sizeBytes: 1_000_001 }])[0]).toContain('keep a smaller sample');
  });

  it('wants the executable bit where an interpreter is named, and only there', () => {
    expect(findings([{ path: 'a.sh', text: '#!/bin/sh\n' }])[0]).toContain('chmod +x');
    expect(findings([{ path: 'README.md', text: 'a', isExecutable: true }])[0]).toContain('chmod -x');
    expect(findings([{ path: '.ci/run', text: '#!/bin/sh\n', isExecutable: true }])).toEqual([]);
  });

  it('finds files that nothing reaches', () => {
    const files = [
      { path: 'src/main.ts', text: "await import('./cli/a.ts');" },
      { path: 'src/cli/a.ts', text: "new Worker(new URL('./worker.ts', import.meta.url));" },
      { path: 'src/cli/worker.ts' },
      { path: 'src/cli/dead.ts', text: "import { a } from './dead-too.ts';" },
      { path: 'src/cli/dead-too.ts' },
      { path: 'src/world/clock.contract.ts' },
      { path: 'src/world/clock.test.ts', text: "import { a } from './clock.contract.ts';" },
    ];
    const dead = findings(files, true);
    expect(dead.map((text) => text.split(':')[0])).toEqual(['src/cli/dead.ts', 'src/cli/dead-too.ts']);
    expect(dead[0]).toContain('use it or delete it');
  });

  it('finds tests that never run', () => {
    expect(finding('test/deep/a.test.ts', '')).toContain('so it never runs');
    expect(finding('src/domain/a.spec.ts', '')).toContain('so it never runs');
    for (const path of ['src/domain/deep/a.test.ts', 'test/a.test.ts', 'test/full/a.test.ts']) {
      expect(finding(path, '')).toBeUndefined();
    }
  });
});

describe('the reader of code', () => {
  it('blanks comments, strings and expressions, keeping every place', () => {
    const template = ['`e $', '{f("g", `h $', '{i}`)} j`'].join('');
    const text = `a(/* b */ "c\\"d", ${template}, /k'[/]/g) // l\nm / n / o`;
    const masked = mask(text);
    expect(masked.length).toBe(text.length);
    expect(masked.replaceAll(/\s+/g, ' ')).toBe('a( , f( , i ) , ) m / n / o');
    expect(masked.split('\n')[1]).toBe('m / n / o');
  });

  it('sees imports of every form', () => {
    const text = [
      "import a from 'a';",
      "import type { B } from 'b';",
      "import 'c';",
      "export { d } from 'd';",
      "type E = typeof import('e');",
      "const f = await import('f');",
      "export const from = 'none';",
    ].join('\n');
    const imports = importsOf({ path: 'a.ts', text, sizeBytes: 0, isExecutable: false });
    expect(imports.map((found) => found.specifier)).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    expect(imports.filter((found) => found.isTypeOnly).map((found) => found.line)).toEqual([2]);
  });
});
