import type { z } from 'zod';
import { type FileContext, readCsv } from './files.ts';
import { isObject } from './json.ts';
import { type JsonPath, suggestion } from './problems.ts';
import {
  type ModbusStationInput,
  modbusStationSchema,
  modbusStationShape,
  type OpcuaStationInput,
  opcuaStationSchema,
  opcuaStationShape,
} from './schema-line.ts';
import { pointName } from './schema-parts.ts';
import { type TagInput, type TagsInput, tagSchema, tagShape } from './schema-tag.ts';
import { validateAt } from './validate.ts';

/** A station or tag with its name and the place where it was written. */
export interface Named<Value> {
  readonly name: string;
  readonly value: Value;
  readonly path: JsonPath;
  /** File and line, where it comes from a CSV. */
  readonly location?: string;
}

/** A station of any driver; keys that only one driver has are absent for the other. */
export type StationInput = Partial<OpcuaStationInput & ModbusStationInput>;

type StationsInput =
  | Readonly<Record<string, StationInput>>
  | readonly (StationInput & { readonly name: string })[]
  | (StationInput & { readonly csv: string });

/** Cells of these columns are numbers. */
const NUMBER_COLUMNS: ReadonlySet<string> = new Set([
  'unit',
  'maxRegistersPerRequest',
  'maxBitsPerRequest',
  'maxGap',
  'queueSize',
  'deadband',
  'bitIndex',
  'scale',
  'offset',
]);

/** Keys of a station that are no column of a CSV. */
const STATION_OBJECT_KEYS: ReadonlySet<string> = new Set(['tags', 'overrides', 'parameters']);

/** Keys of a station, which a parameter of a template therefore cannot be called. */
export const STATION_KEYS: ReadonlySet<string> = new Set([
  'name',
  'csv',
  ...Object.keys(modbusStationShape),
  ...Object.keys(opcuaStationShape),
]);

/** The stations of a line, whichever way they are written. */
export function listStations(
  input: StationsInput,
  at: { readonly path: JsonPath; readonly driver: 'modbus' | 'opcua' },
  context: FileContext,
): Named<StationInput>[] {
  if (!isCsv<StationInput>(input)) return listNamed(input, at.path, context);
  const { csv, ...common } = input;
  const shape = at.driver === 'modbus' ? modbusStationShape : opcuaStationShape;
  const schema: z.ZodType<StationInput> =
    at.driver === 'modbus' ? modbusStationSchema : (opcuaStationSchema as z.ZodType<StationInput>);
  const columns = new Set(Object.keys(shape).filter((key) => !STATION_OBJECT_KEYS.has(key)));
  const path = [...at.path, 'csv'];
  const stations: Named<StationInput>[] = [];
  for (const { cells, location } of readCsv(csv, path, context)) {
    const { name, ...rest } = cells;
    if (!usableName(name, { path, location }, context)) continue;
    const own: Record<string, unknown> = {};
    const parameters: Record<string, unknown> = { ...common.parameters };
    for (const [column, cell] of Object.entries(rest)) {
      if (columns.has(column)) own[column] = convertCell(column, cell);
      else parameters[column] = convertNumber(cell);
    }
    const raw = { ...common, ...own, ...(Object.keys(parameters).length > 0 ? { parameters } : {}) };
    const value = validateAt(schema, raw, { problems: context.problems, at: path, location });
    if (value !== undefined) stations.push({ name, value, path, location });
  }
  return unique(stations, context);
}

/** The tags of a template or station, whichever way they are written. */
export function listTags(input: TagsInput, path: JsonPath, context: FileContext): Named<TagInput>[] {
  if (!isCsv<unknown>(input)) return listNamed<TagInput>(input, path, context);
  const at = [...path, 'csv'];
  const tags: Named<TagInput>[] = [];
  for (const { cells, location } of readCsv(input.csv, at, context)) {
    const { name, ...rest } = cells;
    if (!usableName(name, { path: at, location }, context)) continue;
    const raw: Record<string, unknown> = {};
    for (const [column, cell] of Object.entries(rest)) {
      if (Object.hasOwn(tagShape, column)) raw[column] = convertCell(column, cell);
      else {
        context.problems.add([...at, column], 'unknown column', {
          hint: suggestion(column, ['name', ...Object.keys(tagShape)]),
          location: location.replace(/ line \d+$/, ''),
        });
      }
    }
    const value = validateAt(tagSchema, raw, { problems: context.problems, at, location });
    if (value !== undefined) tags.push({ name, value, path: at, location });
  }
  return unique(tags, context);
}

function isCsv<Value>(input: unknown): input is Value & { readonly csv: string } {
  return isObject(input) && typeof input['csv'] === 'string';
}

function listNamed<Value>(
  input: Readonly<Record<string, Value>> | readonly (Value & { readonly name: string })[],
  path: JsonPath,
  context: FileContext,
): Named<Value>[] {
  if (!isList(input)) {
    return Object.entries(input).map(([name, value]) => ({ name, value, path: [...path, name] }));
  }
  const list = input.map((value, position) => ({
    name: value.name,
    value,
    path: [...path, position],
  }));
  return unique(list, context);
}

function isList<Value>(input: unknown): input is readonly (Value & { readonly name: string })[] {
  return Array.isArray(input);
}

function unique<Value>(list: readonly Named<Value>[], context: FileContext): Named<Value>[] {
  const seen = new Set<string>();
  return list.filter(({ name, path, location }) => {
    if (!seen.has(name)) {
      seen.add(name);
      return true;
    }
    const where = location === undefined ? {} : { location };
    context.problems.add([...path, 'name'], `${JSON.stringify(name)} stands twice in this list`, where);
    return false;
  });
}

function usableName(
  name: string | undefined,
  at: { readonly path: JsonPath; readonly location: string },
  context: FileContext,
): name is string {
  const target = { problems: context.problems, at: [...at.path, 'name'], location: at.location };
  return validateAt(pointName, name, target) !== undefined;
}

function convertCell(column: string, cell: string): unknown {
  if (column === 'formerly') return cell.split('|').map((name) => name.trim());
  if (column === 'address') return /^\d+$/.test(cell) ? Number(cell) : cell;
  return NUMBER_COLUMNS.has(column) ? convertNumber(cell) : cell;
}

/** A number where the cell is one, else the text, which the schema then refuses where it wants a number. */
function convertNumber(cell: string): number | string {
  return /^-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/.test(cell) ? Number(cell) : cell;
}
