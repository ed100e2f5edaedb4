import { parseArgs } from 'node:util';

/** Something that can stand behind `npm run … --`, with two dashes. */
export type Option = Flag | Amount | Choice | Choices;

interface Flag {
  readonly kind: 'flag';
  readonly about: string;
}

interface Amount {
  readonly kind: 'number';
  readonly about: string;
  readonly least: number;
  readonly most: number;
  /** What counts if the option is not there. */
  readonly otherwise?: number;
  readonly mayBeFraction?: true;
}

interface Choice {
  readonly kind: 'one of';
  readonly about: string;
  readonly names: readonly string[];
}

/** Several names, with commas, or the option again. */
interface Choices {
  readonly kind: 'some of';
  readonly about: string;
  readonly names: readonly string[];
}

type Options = Readonly<Record<string, Option>>;

type ValueOf<O extends Option> = O extends Flag
  ? boolean
  : O extends { kind: 'number'; otherwise: number }
    ? number
    : O extends Amount
      ? number | undefined
      : O extends { kind: 'one of'; names: readonly (infer Name)[] }
        ? Name | undefined
        : O extends { kind: 'some of'; names: readonly (infer Name)[] }
          ? readonly Name[]
          : never;

export type Values<Given extends Options> = { readonly [Name in keyof Given]: ValueOf<Given[Name]> };

interface Subject {
  readonly what: string;
  readonly names: readonly string[];
  /** A line of each, which may take a while to find out. */
  readonly about: () => Promise<readonly (readonly [string, string])[]>;
}

/** What a command for developers takes, and what it tells of itself. */
export interface Command<Given extends Options = Options> {
  /** Behind `npm run`. */
  readonly name: string;
  /** Sentences. */
  readonly about: string;
  readonly options: Given;
  /** What has to stand there without dashes, if anything. */
  readonly subject?: Subject;
  /** What is wrong with options that are right each by itself; `null`: nothing. */
  readonly conflict?: (given: ReadonlySet<string>) => string | null;
  readonly exits: Readonly<Record<number, string>>;
  /** What stands behind the two dashes, and what it does. */
  readonly examples: readonly (readonly [string, string])[];
}

/** What was asked for, or what to say instead, and the exit code of that. */
export type Reading<Given extends Options> =
  | { readonly values: Values<Given>; readonly subject: string }
  | { readonly code: 0; readonly said: string }
  | { readonly code: 2; readonly said: string };

const COLUMNS = 100;

/** So that the names and kinds of options are known to the compiler. */
export function command<const Given extends Options>(of: Command<Given>): Command<Given> {
  return of;
}

/** Reads what stands behind the name of a command; whatever it does not know is said, never left out. */
export async function read<Given extends Options>(
  of: Command<Given>,
  args: readonly string[],
): Promise<Reading<Given>> {
  const { tokens } = parseArgs({
    args: [...args],
    options: {
      help: { type: 'boolean', short: 'h' },
      ...Object.fromEntries(
        Object.entries(of.options).map(([name, { kind }]) => {
          return [name, { type: kind === 'flag' ? ('boolean' as const) : ('string' as const) }];
        }),
      ),
    },
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const options = tokens.filter((token) => token.kind === 'option');
  if (options.some(({ name }) => name === 'help')) return { code: 0, said: await usage(of) };
  const texts = new Map<string, string[]>();
  for (const { name, rawName, value } of options) {
    const option = of.options[name];
    if (option === undefined) {
      return wrong(of, `there is no option ${rawName}; there are: ${optionNames(of)}`);
    }
    const isFlag = option.kind === 'flag';
    if (isFlag && value !== undefined) return wrong(of, `${rawName} takes no value`);
    const isMissing = value === undefined || value.startsWith('-');
    if (!isFlag && isMissing) return wrong(of, `${rawName} takes ${taken(option)}`);
    const before = texts.get(name) ?? [];
    if (before.length > 0 && option.kind !== 'some of') return wrong(of, `${rawName} is there twice`);
    texts.set(name, [...before, value ?? '']);
  }
  const subjects = tokens.flatMap((token) => (token.kind === 'positional' ? [token.value] : []));
  const complaint = subjectComplaint(of, subjects) ?? of.conflict?.(new Set(texts.keys())) ?? null;
  if (complaint !== null) return wrong(of, complaint);
  const values: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(of.options)) {
    const given = texts.get(name) ?? [];
    const bad = given.flatMap((text) => textsOf(option, text)).find((text) => !isRight(option, text));
    if (bad !== undefined) return wrong(of, `--${name} takes ${taken(option)}, not "${bad}"`);
    values[name] = valueFrom(option, given);
  }
  // Each of them was made as its option says.
  return { values: values as Values<Given>, subject: subjects[0] ?? '' };
}

/** What `--help` prints. */
async function usage(of: Command): Promise<string> {
  const { subject } = of;
  const rows = Object.entries(of.options).map(([name, option]) => {
    return [`--${name}${placeholder(option)}`, described(option)] as const;
  });
  const sections = [
    `npm run ${of.name} -- ${subject === undefined ? '' : `<${subject.what}> `}[options]\n`,
    paragraph(of.about, ''),
    ...(subject === undefined ? [] : [`<${subject.what}> is one of:\n${table(await subject.about())}`]),
    `Options:\n${table([...rows, ['--help', 'this text']])}`,
    `Exit codes:\n${table(Object.entries({ ...of.exits, ...COMMON_EXITS }))}`,
    `Examples:\n${table(of.examples.map(([args, about]) => [lineOf(of, args), about]))}`,
  ];
  return sections.join('\n');
}

const COMMON_EXITS = {
  2: 'an option or a name that does not exist',
  130: 'stopped with Ctrl-C; nothing is left behind',
};

function lineOf({ name }: Command, args: string): string {
  return args === '' ? `npm run ${name}` : `npm run ${name} -- ${args}`;
}

function wrong(of: Command, what: string): { readonly code: 2; readonly said: string } {
  return { code: 2, said: `${what}. All options: npm run ${of.name} -- --help\n` };
}

function optionNames(of: Command): string {
  return [...Object.keys(of.options), 'help'].map((name) => `--${name}`).join(', ');
}

function subjectComplaint(of: Command, given: readonly string[]): string | null {
  const { subject } = of;
  if (subject === undefined) {
    const [first] = given;
    if (first === undefined) return null;
    return `"${first}" belongs to no option; options stand behind two dashes: npm run ${of.name} -- …`;
  }
  const { what, names } = subject;
  const [first, second] = given;
  if (second !== undefined) return `one ${what} at a time, not "${given.join(' ')}"`;
  if (first === undefined) return `say which ${what}; there are: ${names.join(', ')}`;
  return names.includes(first) ? null : `there is no ${what} "${first}"; there are: ${names.join(', ')}`;
}

function taken(option: Option): string {
  if (option.kind === 'flag') return 'nothing';
  if (option.kind === 'one of') return `one of ${option.names.join(', ')}`;
  if (option.kind === 'some of') return `one or more, with commas, of ${option.names.join(', ')}`;
  const { least, most, mayBeFraction } = option;
  return `a ${mayBeFraction ? '' : 'whole '}number from ${least} to ${most}`;
}

function textsOf(option: Option, text: string): string[] {
  return option.kind === 'some of' ? text.split(',') : [text];
}

function isRight(option: Option, text: string): boolean {
  if (option.kind === 'flag') return true;
  if (option.kind !== 'number') return option.names.includes(text);
  const form = option.mayBeFraction ? /^\d+(\.\d+)?$/ : /^\d+$/;
  return form.test(text) && Number(text) >= option.least && Number(text) <= option.most;
}

function valueFrom(option: Option, given: readonly string[]): unknown {
  const [first] = given;
  if (option.kind === 'flag') return first !== undefined;
  if (option.kind === 'some of') return given.flatMap((text) => textsOf(option, text));
  if (option.kind === 'one of') return first;
  return first === undefined ? option.otherwise : Number(first);
}

function placeholder({ kind }: Option): string {
  return { flag: '', number: ' <number>', 'one of': ' <name>', 'some of': ' <name,…>' }[kind];
}

function described(option: Option): string {
  if (option.kind === 'flag') return option.about;
  if (option.kind !== 'number') return `${option.about}: ${option.names.join(', ')}`;
  return option.otherwise === undefined ? option.about : `${option.about} (${option.otherwise})`;
}

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length)) + 4;
  return rows
    .map(([name, about]) => `  ${name}`.padEnd(width) + paragraph(about, ' '.repeat(width)).trimStart())
    .join('');
}

/** Lines of a text, each with so much before it. */
function paragraph(text: string, indent: string): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && indent.length + line.length + 1 + word.length > COLUMNS) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.map((line) => `${indent}${line}\n`).join('');
}
