import { describeError } from '../domain/errors.ts';
import type { ParameterValues } from './expression.ts';
import type { FileContext } from './files.ts';
import { listTags, type Named, STATION_KEYS, type StationInput } from './lists.ts';
import { describeValue, type JsonPath, suggestion } from './problems.ts';
import type { TagInput, TemplateInput } from './schema-tag.ts';

/** Placeholders that every station has without declaring them. */
const BUILT_IN = ['site', 'process', 'line', 'station', 'unit', 'tag'] as const;

/** A parameter of a template. */
interface Parameter {
  readonly type: 'integer' | 'number' | 'text';
  readonly default?: string | number | undefined;
}

/** A template whose lists are read. */
export interface Template {
  readonly name: string;
  readonly path: JsonPath;
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly tags: readonly Named<TagInput>[];
}

/** Reads the tag lists of the templates and checks their parameters. */
export function prepareTemplates(
  input: Readonly<Record<string, TemplateInput>>,
  context: FileContext,
): Map<string, Template> {
  const templates = new Map<string, Template>();
  for (const [name, template] of Object.entries(input)) {
    const path = ['templates', name];
    const parameters = new Map<string, Parameter>();
    for (const [key, given] of Object.entries(template.parameters)) {
      const at = [...path, 'parameters', key];
      const parameter = typeof given === 'string' ? { type: given } : given;
      if ((BUILT_IN as readonly string[]).includes(key) || STATION_KEYS.has(key)) {
        context.problems.add(at, `a parameter cannot be called ${key}, which has its own meaning`);
      } else if ('default' in parameter && !hasType(parameter.default, parameter.type)) {
        context.problems.add([...at, 'default'], 'not of the type of the parameter', {
          expected: parameter.type,
          got: describeValue(parameter.default),
        });
      } else parameters.set(key, parameter);
    }
    templates.set(name, {
      name,
      path,
      parameters,
      tags: listTags(template.tags, [...path, 'tags'], context),
    });
  }
  return templates;
}

/** The template of a station; reports a name that is not there. */
export function templateOf(
  station: Named<StationInput>,
  templates: ReadonlyMap<string, Template>,
  context: FileContext,
): Template | undefined {
  const name = station.value.template;
  if (name === undefined) return undefined;
  const template = templates.get(name);
  if (template === undefined && !context.problems.touches(['templates', name])) {
    context.problems.add([...station.path, 'template'], `no template is called ${JSON.stringify(name)}`, {
      hint: suggestion(name, [...templates.keys()]),
      ...(station.location === undefined ? {} : { location: station.location }),
    });
  }
  return template;
}

/** The values of the parameters of one station. */
export interface StationParameters {
  readonly values: ParameterValues;
  /** Something was wrong and stands in; what follows from it is not to be reported. */
  readonly guessed: boolean;
}

/** Values of the parameters of one station, by the types of its template. */
export function parametersOf(
  station: Named<StationInput>,
  template: Template | undefined,
  context: FileContext,
): StationParameters {
  const values = new Map<string, string | number>();
  const given = station.value.parameters ?? {};
  const where = station.location === undefined ? {} : { location: station.location };
  const at = [...station.path, 'parameters'];
  let guessed = template === undefined && station.value.template !== undefined;
  for (const [name, parameter] of template?.parameters ?? []) {
    const raw = given[name] ?? parameter.default;
    // A CSV has no types: a number in its cells may be meant as a text.
    const value =
      parameter.type === 'text' && typeof raw === 'number' && station.location !== undefined
        ? String(raw)
        : raw;
    if (value !== undefined && hasType(value, parameter.type)) {
      values.set(name, value);
      continue;
    }
    guessed = true;
    values.set(name, parameter.type === 'text' ? 'x' : 0);
    if (value === undefined) {
      context.problems.add([...at, name], `missing; template ${template?.name} needs it`, {
        expected: parameter.type,
        ...where,
      });
    } else {
      context.problems.add([...at, name], 'not of the type of the parameter', {
        expected: parameter.type,
        got: describeValue(value),
        ...where,
      });
    }
  }
  for (const name of Object.keys(given)) {
    const known = [...(template?.parameters.keys() ?? [])];
    if (known.includes(name) || template === undefined) continue;
    if (context.problems.touches([...template.path, 'parameters'])) continue;
    context.problems.add([...at, name], `template ${template.name} has no such parameter`, {
      hint: suggestion(name, known),
      ...where,
    });
  }
  if (template === undefined && Object.keys(given).length > 0 && station.value.template === undefined) {
    context.problems.add(at, 'parameters without a template', { got: describeValue(given), ...where });
  }
  return { values, guessed };
}

/** Runs `make` and turns what it throws about an expression into a problem. */
export function attempt<Value>(make: () => Value, fail: (reason: string) => void): Value | undefined {
  try {
    return make();
  } catch (error) {
    fail(describeError(error));
    return undefined;
  }
}

function hasType(value: unknown, type: Parameter['type']): boolean {
  if (type === 'text') return typeof value === 'string';
  return type === 'integer' ? Number.isSafeInteger(value) : typeof value === 'number';
}
