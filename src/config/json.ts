import { describeError, KomError } from '../domain/errors.ts';
import { ConfigProblems, formatPath, ProblemList } from './problems.ts';

/** A JSON object as it was read. */
export type JsonObject = Record<string, unknown>;

/** Tells an object from an array, null and the rest. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Parses a configuration file. A key that stands twice in one object is an error: JSON.parse would keep the
 * last and drop, say, a whole station without a word.
 * @throws KomError KOM_CONFIG_INVALID
 */
export function parseJson(text: string, file: string): unknown {
  const withoutMark = text.startsWith('\uFEFF') ? text.slice(1) : text;
  let value: unknown;
  try {
    value = JSON.parse(withoutMark);
  } catch (error) {
    throw new KomError('KOM_CONFIG_INVALID', `${file} is not JSON`, {
      got: describeError(error),
      hint: 'JSON has no comments and no comma after the last element; use "$comment" keys for remarks',
      cause: error,
    });
  }
  const problems = new ProblemList();
  for (const path of duplicateKeys(withoutMark)) {
    problems.add(path, 'the key stands twice in this object', { hint: 'rename or remove one of them' });
  }
  if (problems.all.length > 0) throw new ConfigProblems(file, problems.all);
  return value;
}

/** Paths of keys that repeat an earlier key of their object. The text must be valid JSON. */
export function duplicateKeys(text: string): (string | number)[][] {
  const duplicates: (string | number)[][] = [];
  const open: { keys: Set<string> | null; step: string | number }[] = [];
  const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;
  let lastString = '';
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const top = open.at(-1);
    const part = match[0];
    if (part === '{') open.push({ keys: new Set(), step: '' });
    else if (part === '[') open.push({ keys: null, step: 0 });
    else if (part === '}' || part === ']') open.pop();
    else if (part === ',' && top?.keys === null) top.step = Number(top.step) + 1;
    else if (part === ':' && top?.keys !== null && top !== undefined) {
      top.step = String(JSON.parse(lastString));
      if (top.keys?.has(top.step)) duplicates.push(open.map((each) => each.step));
      top.keys?.add(top.step);
    } else if (part.startsWith('"')) lastString = part;
  }
  return duplicates;
}

/** A copy without remarks: `$comment` may stand in any object. */
export function withoutComments(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutComments);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== '$comment')
      .map(([key, each]) => [key, withoutComments(each)]),
  );
}

/** What stands at a place, `undefined` if nothing does. */
export function valueAt(root: unknown, path: readonly (string | number)[]): unknown {
  let value = root;
  for (const step of path) {
    if (Array.isArray(value) && typeof step === 'number') value = value[step];
    else if (isObject(value) && Object.hasOwn(value, String(step))) value = value[String(step)];
    else return undefined;
  }
  return value;
}

/** Result of merging included files into one object. */
export interface Merge {
  readonly value: JsonObject;
  /** Which file gave a place, by its formatted path; a place of the main file is not in it. */
  readonly files: ReadonlyMap<string, string>;
}

/**
 * Merges objects key by key, deeply. Two files that give one value are a clash, which names both.
 * The first part is the main file.
 */
export function mergeFiles(
  parts: readonly { readonly file: string; readonly value: JsonObject }[],
  problems: ProblemList,
): Merge {
  const files = new Map<string, string>();
  const value: JsonObject = {};
  const givenBy = new Map<string, string>();
  const mergeInto = (target: JsonObject, source: JsonObject, at: { path: string[]; file: string }): void => {
    for (const [key, each] of Object.entries(source)) {
      const path = [...at.path, key];
      const place = formatPath(path);
      if (key === '__proto__') {
        problems.add(path, 'not a name that can be used', { location: at.file });
        continue;
      }
      const existing = Object.hasOwn(target, key) ? target[key] : undefined;
      if (existing === undefined) {
        target[key] = isObject(each) ? {} : each;
        givenBy.set(place, at.file);
        if (at.file !== parts[0]?.file) files.set(place, at.file);
        if (isObject(each)) mergeInto(target[key] as JsonObject, each, { path, file: at.file });
      } else if (isObject(existing) && isObject(each)) {
        mergeInto(existing, each, { path, file: at.file });
      } else {
        problems.add(path, `given by ${givenBy.get(place)} and by ${at.file}`, {
          hint: 'keep it in one of the files',
          location: at.file,
        });
      }
    }
  };
  for (const { file, value: part } of parts) mergeInto(value, part, { path: [], file });
  return { value, files };
}
