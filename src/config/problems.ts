import { KomError } from '../domain/errors.ts';

/** Place of a value in a configuration file: keys and array indexes from the root. */
export type JsonPath = readonly (string | number)[];

/** One thing that is wrong, or doubtful, in a configuration. */
export interface Problem {
  /** Where, as in `$.processes.KomA.lines.pumps.address`. */
  readonly path: string;
  readonly message: string;
  /** What would have been right. */
  readonly expected?: string;
  /** What came instead. */
  readonly got?: string;
  /** What the reader can do. */
  readonly hint?: string;
  /** File, and line for a CSV, where it is not the configuration file itself. */
  readonly location?: string;
}

/** What a reader of a problem gets beside its place and message. */
export type ProblemDetail = Omit<Problem, 'path' | 'message'>;

/** Problems named in the text of one error; the rest is counted. */
const PROBLEMS_SHOWN_MAX = 200;

/** Every problem of a configuration that cannot be used, in one error (KOM_CONFIG_INVALID). */
export class ConfigProblems extends KomError {
  readonly problems: readonly Problem[];

  constructor(file: string, problems: readonly Problem[]) {
    const shown = problems.slice(0, PROBLEMS_SHOWN_MAX).map((problem) => `\n  ${formatProblem(problem)}`);
    const rest = problems.length - shown.length;
    const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
    const more = rest > 0 ? `\n  … and ${rest} more` : '';
    super('KOM_CONFIG_INVALID', `${count} in ${file}${shown.join('')}${more}`);
    this.problems = problems;
  }
}

/** `$.lines.pumps: message; expected …; got …; hint (tags.csv line 4)` */
export function formatProblem(problem: Problem): string {
  const parts = [`${problem.path}: ${problem.message}`];
  if (problem.expected !== undefined) parts.push(`expected ${problem.expected}`);
  if (problem.got !== undefined) parts.push(`got ${problem.got}`);
  if (problem.hint !== undefined) parts.push(problem.hint);
  const text = parts.join('; ');
  return problem.location === undefined ? text : `${text} (${problem.location})`;
}

/** `$.lines["pump 1"].stations[0]` */
export function formatPath(path: JsonPath): string {
  const steps = path.map((step) => {
    if (typeof step === 'number') return `[${step}]`;
    return /^[\p{L}_$][\p{L}\p{N}_$-]*$/u.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
  });
  return `$${steps.join('')}`;
}

/** A value as a reader of a problem sees it, cut to a line. */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** Collects problems; the first one at a place stands, so that a consequence does not hide its cause. */
export class ProblemList {
  readonly #byPath = new Map<string, Problem>();
  readonly #locate: (path: JsonPath) => string | undefined;

  /** `locate` names the file that a place comes from where it is not the main file. */
  constructor(locate: (path: JsonPath) => string | undefined = () => undefined) {
    this.#locate = locate;
  }

  add(path: JsonPath, message: string, detail: ProblemDetail = {}): void {
    const text = formatPath(path);
    const location = detail.location ?? this.#locate(path);
    const key = `${text}\n${detail.location ?? ''}`;
    if (this.#byPath.has(key)) return;
    this.#byPath.set(key, {
      path: text,
      message,
      ...detail,
      ...(location === undefined ? {} : { location }),
    });
  }

  /** True if something at or below a place is wrong. */
  touches(path: JsonPath): boolean {
    const prefix = formatPath(path);
    return this.all.some(
      ({ path: each }) => each === prefix || each.startsWith(`${prefix}.`) || each.startsWith(`${prefix}[`),
    );
  }

  get all(): readonly Problem[] {
    return [...this.#byPath.values()];
  }
}

/** The nearest of `known` to a mistyped name, or `undefined` if none is near. */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** `did you mean "address"?`, or the list of what is known. */
export function suggestion(name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known);
  if (nearest !== undefined) return `did you mean "${nearest}"?`;
  if (known.length === 0) return 'none is known here';
  const shown = known.slice(0, 30).join(', ');
  return `known here: ${shown}${known.length > 30 ? ', …' : ''}`;
}

/** Insertions, deletions and replacements that turn one text into the other (Levenshtein). */
export function editDistance(a: string, b: string): number {
  let before = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replace = (before[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replace, (before[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    before = current;
  }
  return before[b.length] ?? 0;
}
