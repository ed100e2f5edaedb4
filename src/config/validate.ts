import type { z } from 'zod';
import { invariant } from '../domain/errors.ts';
import { isObject, type JsonObject, valueAt } from './json.ts';
import { describeValue, type JsonPath, type ProblemList } from './problems.ts';

type Issue = z.core.$ZodIssue;
type Steps = (string | number)[];

/** Rounds of checking, removing what is wrong and checking the rest. */
const ROUNDS_MAX = 30;

/**
 * Stand-ins for required values that are wrong or missing, so that the rest of the file can be checked
 * for what its schema cannot say. A file with problems is never used.
 */
const STAND_INS: Readonly<Record<string, unknown>> = {
  site: 'site',
  kernels: [],
  servers: {},
  processes: {},
  lines: {},
  stations: {},
  tags: {},
  instance: 1,
  address: '127.0.0.1:1',
  device: '/dev/null',
  endpoint: 'opc.tcp://127.0.0.1:1',
};

/**
 * Checks a value against a schema and puts every problem into `problems`. What is wrong is taken out and
 * the rest returned, so that checks of meaning can add their problems to the same list.
 */
export function validate<Schema extends z.ZodType>(
  schema: Schema,
  raw: unknown,
  problems: ProblemList,
): z.infer<Schema> | undefined {
  const rest: unknown = structuredClone(raw);
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const result = schema.safeParse(rest);
    if (result.success) return result.data;
    const issues = result.error.issues.flatMap((issue) => concrete(issue, []));
    for (const issue of issues) report(issue, rest, { problems });
    if (!isObject(rest)) return undefined;
    for (const issue of issues) repair(rest, issue);
  }
  return undefined;
}

/** Checks one value and returns it, or `undefined` after reporting what is wrong below `at`. */
export function validateAt<Schema extends z.ZodType>(
  schema: Schema,
  raw: unknown,
  target: Report,
): z.infer<Schema> | undefined {
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  for (const issue of result.error.issues.flatMap((each) => concrete(each, []))) {
    report(issue, raw, target);
  }
  return undefined;
}

/** Turns an issue of a union into the issues of the option that the writer most likely meant. */
function concrete(issue: Issue, parent: Steps): Issue[] {
  const path = [...parent, ...(issue.path as Steps)];
  if (issue.code !== 'invalid_union' || issue.message !== 'Invalid input' || issue.errors.length === 0) {
    return [{ ...issue, path }];
  }
  const options = issue.errors.map((errors) => errors.flatMap((error) => concrete(error, [])));
  const depth = (error: Issue): number => error.path.length + (error.code === 'unrecognized_keys' ? 1 : 0);
  const score = (errors: Issue[]): number => Math.min(...errors.map(depth)) - errors.length / 1000;
  const best = options.reduce((a, b) => (score(b) > score(a) ? b : a));
  return best.map((error) => ({ ...error, path: [...path, ...(error.path as Steps)] }));
}

/** Where reported problems go: `at` and `location` place a value that is not of the main file. */
interface Report {
  readonly problems: ProblemList;
  readonly at?: JsonPath;
  readonly location?: string;
}

function report(issue: Issue, root: unknown, { problems, at = [], location }: Report): void {
  const path = issue.path as Steps;
  const place = [...at, ...path];
  const where = location === undefined ? {} : { location };
  if (issue.code === 'unrecognized_keys') {
    const hints = issue.message.split('\n');
    issue.keys.forEach((key, position) => {
      const hint = hints[position];
      problems.add([...place, key], 'unknown key', { ...(hint === undefined ? {} : { hint }), ...where });
    });
    return;
  }
  const value = valueAt(root, path);
  const expected = expectation(issue);
  if (issue.code === 'invalid_key')
    problems.add(place, 'not a name that can be used', { expected, ...where });
  else if (value === undefined) problems.add(place, 'missing', { expected, ...where });
  else {
    // What was given for a secret may be the secret.
    const got = place.includes('password') ? 'something else' : describeValue(value);
    problems.add(place, 'not usable', { expected, got, ...where });
  }
}

/** What would have been right, in words. */
function expectation(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.message.startsWith('Invalid input') ? typeName(issue.expected) : issue.message;
    case 'invalid_value':
      return issue.values.map((value) => JSON.stringify(value)).join(' or ');
    case 'too_small':
      return `${issue.origin === 'string' ? 'a length of ' : ''}at least ${issue.minimum}`;
    case 'too_big':
      return `${issue.origin === 'string' ? 'a length of ' : ''}at most ${issue.maximum}`;
    case 'invalid_key':
      return issue.issues[0]?.message ?? 'another name';
    default:
      return issue.message;
  }
}

function typeName(type: string): string {
  const names: Readonly<Record<string, string>> = {
    int: 'an integer',
    number: 'a number',
    string: 'a text',
    boolean: 'true or false',
    array: 'an array',
    object: 'an object',
    record: 'an object',
  };
  return names[type] ?? type;
}

/** Takes out what an issue is about, so that the next round passes it. */
function repair(root: JsonObject, issue: Issue): void {
  const path = issue.path as Steps;
  if (issue.code === 'unrecognized_keys') {
    const holder = valueAt(root, path);
    if (isObject(holder)) for (const key of issue.keys) delete holder[key];
    return;
  }
  const key = path.at(-1);
  const holder = valueAt(root, path.slice(0, -1));
  if (key === undefined || holder === undefined) return;
  if (isObject(holder) && typeof key === 'string') {
    const standIn = STAND_INS[key];
    const wasMissing = holder[key] === undefined;
    delete holder[key];
    if (wasMissing && standIn !== undefined) holder[key] = structuredClone(standIn);
    else if (wasMissing) repairParent(root, path);
  } else {
    repairParent(root, path);
  }
}

/** An array element cannot be taken out alone without moving the others, so the array goes. */
function repairParent(root: JsonObject, path: Steps): void {
  for (let length = path.length - 1; length > 0; length--) {
    const key = path[length - 1];
    const holder = valueAt(root, path.slice(0, length - 1));
    if (isObject(holder) && typeof key === 'string') {
      invariant(key !== '__proto__', 'JSON.parse makes no prototype keys');
      delete holder[key];
      return;
    }
  }
}
