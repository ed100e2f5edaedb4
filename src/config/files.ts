import { globSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, relative, resolve } from 'node:path';
import { parse } from 'csv-parse/sync';
import { describeError } from '../domain/errors.ts';
import { isObject, type JsonObject, type Merge, mergeFiles, parseJson, withoutComments } from './json.ts';
import { ConfigProblems, type JsonPath, type ProblemList } from './problems.ts';

/** What loading a configuration reads besides the file itself. Each may be replaced, in a test or a demo. */
export interface FileAccess {
  /** Text of a file by absolute path. Throws if there is none. */
  readFile(path: string): string;
  /** Absolute paths of the files that match a pattern below a directory, sorted. */
  findFiles(pattern: string, directory: string): string[];
  /** Value of an environment variable. */
  environment(name: string): string | undefined;
}

/** The files and the environment of this machine. */
export const realFiles: FileAccess = {
  readFile: (path) => readFileSync(path, 'utf8'),
  findFiles: (pattern, directory) =>
    globSync(pattern, { cwd: directory })
      .map((path) => resolve(directory, path))
      .sort(),
  environment: (name) => process.env[name],
};

/** Where relative paths start, and how files are read. */
export interface FileContext {
  readonly directory: string;
  readonly files: FileAccess;
  readonly problems: ProblemList;
}

/** A row of a CSV file. */
export interface CsvRow {
  readonly cells: Readonly<Record<string, string>>;
  /** `stations.csv line 4` */
  readonly location: string;
}

/** Files that all `include` patterns of a site may bring in together. */
const INCLUDED_FILES_MAX = 1000;

/** Merges the included files into the main object. Included files include nothing further. */
export function mergeIncludes(main: JsonObject, mainFile: string, context: FileContext): Merge {
  const parts = [{ file: mainFile, value: main }];
  const seen = new Set<string>([resolve(context.directory, mainFile)]);
  const patterns = Array.isArray(main['include']) ? main['include'] : [];
  patterns.forEach((pattern: unknown, position) => {
    if (typeof pattern !== 'string') return;
    const at = ['include', position];
    const found = findIncluded(pattern, context);
    if (found.length === 0) context.problems.add(at, `no file matches ${JSON.stringify(pattern)}`);
    for (const path of found) {
      if (seen.has(path)) continue;
      seen.add(path);
      if (seen.size > INCLUDED_FILES_MAX) {
        context.problems.add(at, `brings in more than ${INCLUDED_FILES_MAX} files`);
        return;
      }
      const value = readIncluded(path, at, context);
      if (value !== undefined) parts.push({ file: shortName(path, context.directory), value });
    }
  });
  return mergeFiles(parts, context.problems);
}

function findIncluded(pattern: string, context: FileContext): string[] {
  if (!/[*?[\]{}]/.test(pattern)) return [resolve(context.directory, pattern)];
  return context.files.findFiles(pattern, context.directory);
}

function readIncluded(path: string, at: JsonPath, context: FileContext): JsonObject | undefined {
  const location = shortName(path, context.directory);
  try {
    const value = withoutComments(parseJson(context.files.readFile(path), location));
    if (!isObject(value)) {
      context.problems.add(at, 'an included file holds an object', { location });
      return undefined;
    }
    const { $schema: _, include, ...rest } = value;
    if (include !== undefined) {
      context.problems.add(at, 'an included file includes nothing further', { location });
    }
    return rest;
  } catch (error) {
    if (error instanceof ConfigProblems) {
      for (const problem of error.problems) {
        context.problems.add(at, `${problem.path}: ${problem.message}`, { location });
      }
    } else context.problems.add(at, `cannot be read: ${describeError(error)}`, { location });
    return undefined;
  }
}

/** Rows of a CSV file with a header line; comma or semicolon between the cells. */
export function readCsv(file: string, at: JsonPath, context: FileContext): CsvRow[] {
  const path = resolve(context.directory, file);
  const location = shortName(path, context.directory);
  try {
    const text = context.files.readFile(path);
    const header = /^(?!\uFEFF?#)[^\r\n]+$/m.exec(text)?.[0] ?? '';
    const records: { record: Record<string, string>; info: { lines: number } }[] = parse(text, {
      bom: true,
      columns: true,
      delimiter: header.includes(';') && !header.includes(',') ? ';' : ',',
      info: true,
      skip_empty_lines: true,
      comment: '#',
      comment_no_infix: true,
      trim: true,
    });
    return records.map(({ record, info }) => ({
      cells: Object.fromEntries(Object.entries(record).filter(([, cell]) => cell !== '')),
      location: `${location} line ${info.lines}`,
    }));
  } catch (error) {
    context.problems.add(at, `the CSV file cannot be read: ${describeError(error)}`, { location });
    return [];
  }
}

/** Value of `{"env"}` or `{"file"}`, or why there is none. */
export function readSecret(
  source: { readonly env: string } | { readonly file: string },
  context: {
    readonly directory: string;
    readonly files: Pick<FileAccess, 'readFile' | 'environment'>;
  },
): { readonly value: string } | { readonly missing: string } {
  if ('env' in source) {
    const value = context.files.environment(source.env);
    return value === undefined || value === ''
      ? { missing: `the environment variable ${source.env} is not set` }
      : { value };
  }
  try {
    const value = context.files.readFile(resolve(context.directory, source.file)).replace(/\r?\n$/, '');
    return { value };
  } catch (error) {
    return { missing: `the file ${source.file} cannot be read: ${describeError(error)}` };
  }
}

/** The path relative to the site file where it lies below it. */
function shortName(path: string, directory: string): string {
  const short = relative(directory, path);
  return short.startsWith('..') || isAbsolute(short) ? path : short;
}

/** Directory and name of a configuration file. */
export function splitPath(path: string): { readonly directory: string; readonly file: string } {
  const absolute = resolve(path);
  return { directory: dirname(absolute), file: relative(dirname(absolute), absolute) };
}
