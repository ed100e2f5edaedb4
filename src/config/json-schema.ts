import { z } from 'zod';
import { isObject, type JsonObject } from './json.ts';
import { kernelSchema, siteSchema } from './schema.ts';

/** Which file a JSON Schema describes. */
export type SchemaKind = 'site' | 'kernel';

const TITLES: Readonly<Record<SchemaKind, string>> = {
  site: 'KOM Archive: site file',
  kernel: 'KOM Archive: Kernel file',
};

/** JSON Schema (2020-12) of a file, for an editor. */
export function jsonSchemaOf(kind: SchemaKind): JsonObject {
  const schema = kind === 'site' ? siteSchema : kernelSchema;
  const { $schema, ...rest } = z.toJSONSchema(schema, {
    io: 'input',
    reused: 'inline',
    override: ({ jsonSchema }) => {
      if (jsonSchema.type !== 'object') return;
      // Names are checked when a file is loaded; here they would refuse "$comment".
      delete jsonSchema.propertyNames;
      jsonSchema.properties = {
        ...jsonSchema.properties,
        $comment: { description: 'A remark for people; ignored.' },
      };
    },
  });
  return { $schema, title: TITLES[kind], ...rest };
}

/** The text of the schema file. */
export function schemaText(kind: SchemaKind): string {
  return `${JSON.stringify(jsonSchemaOf(kind), null, 2)}\n`;
}

/** One key of a configuration file. */
interface KeyDescription {
  /** `processes.<name>.buffer.capacity` */
  readonly path: string;
  readonly type: string;
  /** JSON text; empty where there is none. */
  readonly default: string;
  readonly required: boolean;
  readonly description: string;
}

/** Parts of a file that have a table of their own, with their headings; other parts are told in words. */
const PARTS: Readonly<Record<string, string>> = {
  modbusTcpLine: 'Line of driver `modbus-tcp`',
  modbusRtuOverTcpLine: 'Line of driver `modbus-rtu-over-tcp`',
  modbusRtuLine: 'Line of driver `modbus-rtu`',
  opcuaLine: 'Line of driver `opcua`',
  modbusStation: 'Station of a Modbus line',
  opcuaStation: 'Station of an OPC UA line',
  template: 'Template',
  tag: 'Tag',
};

/** Every key of a file as Markdown tables, for the manual. */
export function keyTables(kind: SchemaKind): string {
  const schema = jsonSchemaOf(kind);
  const parts = isObject(schema['$defs']) ? schema['$defs'] : {};
  const texts = [table(schema)];
  for (const [name, heading] of Object.entries(PARTS)) {
    const part = parts[name];
    if (isObject(part)) texts.push(`#### ${heading}`, table(part));
  }
  return texts.join('\n\n');
}

function table(schema: JsonObject): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
  const keys = new Map<string, KeyDescription>();
  walk(schema, '', (key) => keys.set(key.path, key));
  const rows = [...keys.values()].map(({ path, type, default: value, required, description }) => {
    const shown = required ? '(required)' : value === '' ? '' : `\`${value}\``;
    return `| \`${path}\` | ${cell(type)} | ${cell(shown)} | ${cell(description)} |`;
  });
  return ['| key | type | default | meaning |', '|---|---|---|---|', ...rows].join('\n');
}

function walk(schema: JsonObject, path: string, add: (key: KeyDescription) => void): void {
  for (const alternative of alternativesOf(schema)) {
    const required = Array.isArray(alternative['required']) ? alternative['required'] : [];
    const properties = isObject(alternative['properties']) ? alternative['properties'] : {};
    for (const [name, property] of Object.entries(properties)) {
      if (!isObject(property) || name === '$comment') continue;
      const at = path === '' ? name : `${path}.${name}`;
      const value = property['default'];
      add({
        path: at,
        type: typeText(property),
        default: value === undefined || isEmpty(value) ? '' : JSON.stringify(value),
        required: required.includes(name) && value === undefined,
        description: String(property['description'] ?? ''),
      });
      walk(property, at, add);
    }
    const values = alternative['additionalProperties'];
    if (isObject(values)) walk(values, `${path}.<name>`, add);
    if (isObject(alternative['items'])) walk(alternative['items'], `${path}[]`, add);
  }
}

function isEmpty(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length === 0;
}

function alternativesOf(schema: JsonObject): JsonObject[] {
  const options = schema['anyOf'] ?? schema['oneOf'];
  return Array.isArray(options) ? options.filter(isObject).flatMap(alternativesOf) : [schema];
}

function typeText(schema: JsonObject): string {
  const texts = alternativesOf(schema).map((option) => {
    if (typeof option['$ref'] === 'string') return option['$ref'].replace('#/$defs/', '');
    if (Array.isArray(option['enum'])) return option['enum'].map((each) => JSON.stringify(each)).join(', ');
    if (option['const'] !== undefined) return JSON.stringify(option['const']);
    if (isObject(option['additionalProperties']))
      return `object of ${typeText(option['additionalProperties'])}`;
    if (isObject(option['items'])) return `array of ${typeText(option['items'])}`;
    return Array.isArray(option['type']) ? option['type'].join(' or ') : String(option['type'] ?? 'any');
  });
  return [...new Set(texts)].join(' or ');
}
