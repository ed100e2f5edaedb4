/** A file of the repository as the rules see it. */
export interface SourceFile {
  /** From the root of the repository, with slashes. */
  readonly path: string;
  readonly text: string;
  readonly sizeBytes: number;
  readonly isExecutable: boolean;
}

/** What breaks a rule; the message says what to do instead. */
export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

/** An import, whatever its form: static, dynamic, of types, or an export from. */
export interface Import {
  readonly specifier: string;
  readonly line: number;
  readonly isTypeOnly: boolean;
}

const STATIC_IMPORT = /\b(?:import|export)\s+(type\s+)?(?:[\w*\s{},$]+?\s+from\s+)?['"]([^'"]+)['"]/;
const DYNAMIC_IMPORT = /\bimport\(['"]([^'"]+)['"]\)/;
const IMPORT = new RegExp(`${STATIC_IMPORT.source}|${DYNAMIC_IMPORT.source}`, 'g');

/** Every import of a file of code. */
export function importsOf(file: SourceFile): Import[] {
  const withoutComments = mask(file.text, { keepStrings: true });
  return [...withoutComments.matchAll(IMPORT)].map((match) => ({
    specifier: match[2] ?? match[3] ?? '',
    line: lineOf(withoutComments, match.index),
    isTypeOnly: match[1] !== undefined,
  }));
}

/** Number of the line that an offset lies in, from 1. */
export function lineOf(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line += 1;
  return line;
}

export function isCode(file: SourceFile): boolean {
  return /\.(ts|cts|mts|js|cjs|mjs)$/.test(file.path);
}

export function isTest(path: string): boolean {
  return /\.(test|contract)\.ts$/.test(path) || path.startsWith('test/');
}

/** Code of the product: what is neither test nor bench nor tool. */
export function isProduct(file: SourceFile): boolean {
  return file.path.startsWith('src/') && isCode(file) && !isTest(file.path);
}

const COMMENT_OR_STRING = [
  /\/\/[^\n]*/y,
  /\/\*[\s\S]*?\*\//y,
  /'(?:[^'\\\n]|\\.)*'/y,
  /"(?:[^"\\\n]|\\.)*"/y,
] as const;

const REGULAR_EXPRESSION = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[dgimsuvy]*/y;

/**
 * Blanks comments, and unless told otherwise strings and regular expressions, keeping length and lines, so
 * that a rule about code does not fire on prose. The code inside `${}` of a template stays.
 */
export function mask(text: string, options: { keepStrings?: boolean } = {}): string {
  let masked = '';
  let at = 0;
  /** Depth of braces at which each open template goes on. */
  const templates: number[] = [];
  let depth = 0;
  while (at < text.length) {
    const token = tokenAt(text, at, masked);
    if (token !== undefined) {
      const isComment = token.startsWith('//') || token.startsWith('/*');
      masked += options.keepStrings && !isComment ? token : blank(token);
      at += token.length;
      continue;
    }
    const character = text[at] ?? '';
    const closesHole = character === '}' && templates.at(-1) === depth;
    if (character === '`' || closesHole) {
      if (closesHole) templates.pop();
      const chunk = templateChunk(text, at + 1);
      const isHole = chunk.endsWith('${');
      masked += options.keepStrings ? character + chunk : blank(character + chunk);
      at += 1 + chunk.length;
      if (isHole) templates.push(depth);
      continue;
    }
    if (character === '{') depth += 1;
    if (character === '}') depth -= 1;
    masked += character;
    at += 1;
  }
  return masked;
}

/** The comment, string or regular expression that starts here. */
function tokenAt(text: string, at: number, before: string): string | undefined {
  for (const pattern of COMMENT_OR_STRING) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match !== null) return match[0];
  }
  // A slash is a division after a value, else it opens a regular expression.
  if (text[at] !== '/' || /[\w)\]}]\s*$/.test(before.slice(-20).replace(/\breturn\s*$/, '(')))
    return undefined;
  REGULAR_EXPRESSION.lastIndex = at;
  return REGULAR_EXPRESSION.exec(text)?.[0];
}

/** Text of a template up to and with its end or its next `${`. */
function templateChunk(text: string, start: number): string {
  let at = start;
  while (at < text.length) {
    if (text[at] === '\\') at += 2;
    else if (text[at] === '`') return text.slice(start, at + 1);
    else if (text.startsWith('${', at)) return text.slice(start, at + 2);
    else at += 1;
  }
  return text.slice(start);
}

function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, ' ');
}
