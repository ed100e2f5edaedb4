import { posix } from 'node:path';
import { checkHomes, checkLayers } from './layers.ts';
import { type Finding, importsOf, isCode, isProduct, lineOf, mask, type SourceFile } from './source.ts';

/** What the rules need to know of the project besides its files. */
export interface Project {
  readonly files: readonly SourceFile[];
  /** Globs of the tests that the test runner knows. */
  readonly testGlobs: readonly string[];
}

/** Every rule by its name. A rule is a pure function from files to findings. */
export const RULES: Readonly<Record<string, (project: Project) => Finding[]>> = {
  layers: ({ files }) => checkLayers(files),
  'one importer per package': ({ files }) => checkHomes(files),
  'banned words': ({ files }) => checkBans(files),
  'file length': ({ files }) => checkFileLength(files),
  'line length': ({ files }) => checkLineLength(files),
  'no large files': ({ files }) => checkSize(files),
  'executable bits': ({ files }) => checkModes(files),
  'dead files': ({ files }) => checkDeadFiles(files),
  'tests that run': (project) => checkTestPaths(project),
};

const FILE_LINES_MAX = 400;
const LINE_COLUMNS_MAX = 110;
const FILE_BYTES_MAX = 1_000_000;

interface Ban {
  readonly pattern: RegExp;
  readonly instead: string;
  readonly appliesTo: (file: SourceFile) => boolean;
  /** Look at comments and strings too. */
  readonly inProse?: boolean;
}

const OPEN_TO_EFFECTS = ['src/world/real/', 'src/config/', 'src/cli/', 'src/main.ts'];

function isSealed(file: SourceFile): boolean {
  return isProduct(file) && !OPEN_TO_EFFECTS.some((place) => file.path.startsWith(place));
}

/** Virtual time lets promises go on by yielding to the loop; it has no other way. */
function isSealedAgainstImmediate(file: SourceFile): boolean {
  return isSealed(file) && file.path !== 'src/world/simulated/clock.ts';
}

/** Words that must not stand in this file either are put together from halves. */
const words = (...halves: string[]) => halves.join('');

export const BANS: readonly Ban[] = [
  {
    pattern: /\bDate\.now\b|\bnew Date\(\s*\)/g,
    instead: 'take a Clock and call wallUs',
    appliesTo: isSealed,
  },
  {
    pattern: /\bperformance\.now\b|\bprocess\.hrtime\b/g,
    instead: 'take a Clock and call monotonicMs',
    appliesTo: isSealed,
  },
  {
    pattern: /(?<![.#\w])set(?:Timeout|Interval)\b|\bglobalThis\./g,
    instead: 'take a Clock and call sleep, schedule or repeat',
    appliesTo: isSealed,
  },
  {
    pattern: /\bsetImmediate\b/g,
    instead: 'take a Clock and call schedule with 0 ms',
    appliesTo: isSealedAgainstImmediate,
  },
  {
    pattern: /\bAbortSignal\.timeout\b/g,
    instead: 'take a Clock and abort a controller from schedule',
    appliesTo: isSealed,
  },
  {
    pattern: /\bMath\.random\b|\brandom(?:Bytes|UUID|Int)\b|\bgetRandomValues\b/g,
    instead: 'take a Random',
    appliesTo: isSealed,
  },
  {
    pattern: /\bprocess\.(?:env|exit|argv)\b/g,
    instead: 'let src/config or src/cli read it and pass the value in',
    appliesTo: isSealed,
  },
  { pattern: /\bconsole\./g, instead: 'take a Log, or in src/cli an Output', appliesTo: isSealed },
  {
    pattern: /\bas unknown as\b/g,
    instead: 'narrow the type with a check, or make the source give the right one',
    appliesTo: isProduct,
  },
  {
    pattern: /(?:^|[\s:<|(])any(?=[\s;,)>\]|]|$)(?!\s*=>)/gm,
    instead: 'say the type, or unknown and a check',
    appliesTo: isProduct,
  },
  {
    pattern: /^[ \t]*(?:export\s+)?(?:const\s+)?enum\s/gm,
    instead: 'use a union of string literals or a const object',
    appliesTo: isCode,
  },
  {
    pattern: /^[ \t]*(?:private|protected|public)\s+(?!constructor\b)/gm,
    instead: 'use #name for what is private; everything else is public',
    appliesTo: isProduct,
  },
  {
    pattern: /\bextends (?!Error\b|KomError\b)\w+[^{;]*\{/g,
    instead: 'hold the other object in a field; only errors inherit',
    appliesTo: (file) => isProduct(file) && /\bclass \w+ extends /.test(mask(file.text)),
  },
  {
    pattern: /\bexport default\b/g,
    instead: 'export it by its name',
    appliesTo: (file) => isCode(file) && file.path !== 'vitest.config.ts',
  },
  {
    pattern: /\b(?:it|test|describe|suite)(?:\.\w+)*\.only\b/g,
    instead: 'remove .only, the other tests do not run',
    appliesTo: isCode,
  },
  {
    pattern: new RegExp(words('\\b(?:TO', 'DO|FIX', 'ME|X', 'XX|HA', 'CK)\\b'), 'g'),
    instead: 'do it now, or leave it out',
    appliesTo: (file) => file.path !== 'package-lock.json',
    inProse: true,
  },
  {
    pattern: new RegExp(words('(?<![\\w.])/(?:wo', 'rk|ro', 'ot|ho', 'me/\\w+)/'), 'g'),
    instead: 'name no place of one machine; use a relative path or a temporary directory',
    appliesTo: (file) => file.path !== 'package-lock.json',
    inProse: true,
  },
  {
    pattern: new RegExp(
      words('registry\\.(?:np', 'mjs|ya', 'rnpkg)|deb\\.deb', 'ian\\.org|py', 'pi\\.org|crates\\.', 'io'),
      'gi',
    ),
    instead: 'name no registry host; the package manager knows its own',
    appliesTo: () => true,
    inProse: true,
  },
  {
    pattern: new RegExp(
      words('\\b(?:clau', 'de|anthro', 'pic|chat', 'gpt|co', 'pilot|sub-?', 'agents?)\\b'),
      'gi',
    ),
    instead: 'say what the program does, not how or by whom it was made',
    appliesTo: (file) => file.path !== 'package-lock.json',
    inProse: true,
  },
  {
    pattern: /\bissues? #?\d+\b|(?<=\s)\(#\d+\)/gi,
    instead: 'say why in words; a reader has no list of issues',
    appliesTo: (file) => file.path !== 'package-lock.json' && file.path !== 'test/tidy.test.ts',
    inProse: true,
  },
];

function checkBans(files: readonly SourceFile[]): Finding[] {
  const findings: Finding[] = [];
  for (const file of files) {
    const masked = isCode(file) ? mask(file.text) : file.text;
    for (const ban of BANS) {
      if (!ban.appliesTo(file)) continue;
      const text = ban.inProse ? file.text : masked;
      for (const match of text.matchAll(ban.pattern)) {
        const message = `${match[0].trim()}: ${ban.instead}`;
        findings.push({ path: file.path, line: lineOf(text, match.index), message });
      }
    }
  }
  return findings;
}

/** Prose and data have no length of their own. */
function isMeasured(path: string): boolean {
  return isCode({ path, text: '', sizeBytes: 0, isExecutable: false }) || /\.(sh|proto)$|^\.ci\//.test(path);
}

function checkFileLength(files: readonly SourceFile[]): Finding[] {
  return files
    .filter((file) => isMeasured(file.path) && !file.path.endsWith('.proto'))
    .map((file) => ({ file, lines: file.text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > FILE_LINES_MAX)
    .map(({ file, lines }) => ({
      path: file.path,
      line: FILE_LINES_MAX + 1,
      message: `${lines} lines; split it by what changes together, at most ${FILE_LINES_MAX} a file`,
    }));
}

function checkLineLength(files: readonly SourceFile[]): Finding[] {
  return files
    .filter((file) => isMeasured(file.path))
    .flatMap((file) =>
      file.text.split('\n').flatMap((text, index) => {
        if (text.length <= LINE_COLUMNS_MAX) return [];
        const message = `${text.length} columns; break the line, at most ${LINE_COLUMNS_MAX}`;
        return [{ path: file.path, line: index + 1, message }];
      }),
    );
}

function checkSize(files: readonly SourceFile[]): Finding[] {
  return files
    .filter((file) => file.sizeBytes > FILE_BYTES_MAX)
    .map((file) => ({
      path: file.path,
      line: 1,
      message: `${file.sizeBytes} bytes; generate it, or keep a smaller sample, at most ${FILE_BYTES_MAX}`,
    }));
}

function checkModes(files: readonly SourceFile[]): Finding[] {
  return files
    .filter((file) => file.isExecutable !== file.text.startsWith('#!'))
    .map((file) => ({
      path: file.path,
      line: 1,
      message: file.isExecutable
        ? 'is executable but names no interpreter: chmod -x, or add a #! line'
        : 'names an interpreter but is not executable: chmod +x, or drop the #! line',
    }));
}

/** Code that neither the program nor a test nor the bench reaches. */
function checkDeadFiles(files: readonly SourceFile[]): Finding[] {
  const byPath = new Map(files.filter(isCode).map((file) => [file.path, file]));
  const isEntry = (path: string) =>
    path === 'src/main.ts' ||
    path === 'test/simulation/main.ts' ||
    /^bench\/[\w-]+\.ts$/.test(path) ||
    path.endsWith('.test.ts');
  const open = [...byPath.keys()].filter(isEntry);
  const reached = new Set(open);
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    const file = byPath.get(path);
    if (file === undefined) continue;
    for (const target of referencesOf(file)) {
      if (reached.has(target) || !byPath.has(target)) continue;
      reached.add(target);
      open.push(target);
    }
  }
  return [...byPath.keys()]
    .filter((path) => /^(src|test|bench)\//.test(path) && !reached.has(path))
    .map((path) => ({
      path,
      line: 1,
      message: 'is reached from neither src/main.ts nor a test nor the bench: use it or delete it',
    }));
}

/** Files that a file imports, or starts by URL or path (a child process, a worker). */
function referencesOf(file: SourceFile): string[] {
  const started = [...file.text.matchAll(/['"`]([\w./-]+\.[cm]?[tj]s)['"`]/g)].map((match) => match[1] ?? '');
  const specifiers = importsOf(file)
    .map((imported) => imported.specifier)
    .filter((specifier) => specifier.startsWith('.'));
  const directory = posix.dirname(file.path);
  return [...specifiers, ...started].flatMap((name) => [posix.join(directory, name), posix.normalize(name)]);
}

function checkTestPaths({ files, testGlobs }: Project): Finding[] {
  return files
    .filter((file) => /\.(test|spec)\.[cm]?[jt]sx?$/.test(file.path))
    .filter((file) => !testGlobs.some((glob) => posix.matchesGlob(file.path, glob)))
    .map((file) => ({
      path: file.path,
      line: 1,
      message: `matches none of ${testGlobs.join(', ')}, so it never runs: move it, or name it *.test.ts`,
    }));
}

/** All findings of all rules, each as `path:line: message (rule)`. */
export function tidy(project: Project): string[] {
  return Object.entries(RULES).flatMap(([name, check]) =>
    check(project).map((finding) => `${finding.path}:${finding.line}: ${finding.message} (${name})`),
  );
}
