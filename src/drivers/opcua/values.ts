import type { ValueType } from '../../domain/dictionary.ts';
import { Quality } from '../../domain/quality.ts';
import { type SampleValue, valueToJson } from '../../domain/sample.ts';

/** Identifiers of the built-in types (OPC 10000-6, table 1). */
export const BuiltIn = {
  null: 0,
  boolean: 1,
  sByte: 2,
  byte: 3,
  int16: 4,
  uInt16: 5,
  int32: 6,
  uInt32: 7,
  int64: 8,
  uInt64: 9,
  float: 10,
  double: 11,
  string: 12,
  dateTime: 13,
  guid: 14,
  byteString: 15,
  xmlElement: 16,
  nodeId: 17,
  expandedNodeId: 18,
  statusCode: 19,
  qualifiedName: 20,
  localizedText: 21,
  extensionObject: 22,
} as const;

/** What of a variant of the library is read here. */
export interface VariantLike {
  readonly dataType: number;
  /** 0: scalar, 1: array, 2: matrix. */
  readonly arrayType: number;
  readonly value: unknown;
  readonly dimensions?: readonly number[] | null;
}

/** A value as the archive stores it, or the quality that says why there is none. */
export type Converted = { readonly value: SampleValue } | { readonly quality: number };

const MISMATCH: Converted = { quality: Quality.badTypeMismatch };
const INT64_MAX = 2n ** 63n - 1n;

/**
 * Converts a value of a server to the type of its tag, exactly or not at all.
 * - int64: integers, booleans as 0 and 1, integral floats up to 2^53; a UInt64 above the int64 range comes
 *   as its exact decimal text
 * - float64: Float and Double as they are, integers up to ±2^53, booleans as 0 and 1
 * - bool: booleans, and the integers 0 and 1
 * - text: everything; arrays, matrices, ByteStrings and structures as JSON, int64 in it as decimal strings
 *
 * Everything else, and an empty value, is BadTypeMismatch.
 */
export function convertVariant(variant: VariantLike, type: ValueType): Converted {
  if (variant.arrayType !== 0) return type === 'text' ? { value: jsonOf(variant) } : MISMATCH;
  const scalar = scalarOf(variant);
  switch (type) {
    case 'bool':
      return toBool(scalar);
    case 'int64':
      return toInt64(scalar);
    case 'float64':
      return toFloat64(scalar);
    case 'text':
      return { value: scalar === null ? '' : textOf(scalar) };
  }
}

/** A scalar as an exact JavaScript value; a structure or ByteString as JSON text; null for none. */
function scalarOf(variant: VariantLike): SampleValue {
  const { dataType, value } = variant;
  if (value === null || value === undefined) return null;
  if (dataType === BuiltIn.int64 || dataType === BuiltIn.uInt64) return int64Of(dataType, value);
  if (dataType >= BuiltIn.sByte && dataType <= BuiltIn.uInt32) return BigInt(Number(value));
  if (dataType === BuiltIn.boolean) return Boolean(value);
  if (dataType === BuiltIn.float || dataType === BuiltIn.double) return Number(value);
  if (dataType === BuiltIn.byteString || dataType === BuiltIn.extensionObject) return jsonOf(variant);
  const plain = plainOf(value, dataType);
  return typeof plain === 'string' ? plain : JSON.stringify(plain);
}

function toBool(scalar: SampleValue): Converted {
  if (typeof scalar === 'boolean') return { value: scalar };
  if (scalar === 0n || scalar === 1n) return { value: scalar === 1n };
  return MISMATCH;
}

function toInt64(scalar: SampleValue): Converted {
  if (typeof scalar === 'bigint') return { value: scalar > INT64_MAX ? scalar.toString() : scalar };
  if (typeof scalar === 'boolean') return { value: scalar ? 1n : 0n };
  if (typeof scalar === 'number' && Number.isSafeInteger(scalar)) return { value: BigInt(scalar) };
  return MISMATCH;
}

function toFloat64(scalar: SampleValue): Converted {
  if (typeof scalar === 'number') return { value: scalar };
  if (typeof scalar === 'boolean') return { value: scalar ? 1 : 0 };
  if (typeof scalar !== 'bigint') return MISMATCH;
  const number = Number(scalar);
  return BigInt(number) === scalar ? { value: number } : MISMATCH;
}

function textOf(scalar: SampleValue): string {
  return typeof scalar === 'string' ? scalar : String(scalar);
}

/** The library gives 64-bit integers as the pair of their 32-bit halves, the high one first. */
function int64Of(dataType: number, value: unknown): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') return BigInt(value);
  const [high = 0, low = 0] = Array.isArray(value) || value instanceof Uint32Array ? Array.from(value) : [];
  const bits = (BigInt(Number(high) >>> 0) << 32n) | BigInt(Number(low) >>> 0);
  return dataType === BuiltIn.int64 ? BigInt.asIntN(64, bits) : bits;
}

function jsonOf(variant: VariantLike): string {
  const { dataType, arrayType, value, dimensions } = variant;
  if (arrayType === 0) return JSON.stringify(plainOf(value, dataType));
  const flat = elementsOf(value).map((element) => plainOf(element, dataType));
  return JSON.stringify(arrayType === 2 ? nest(flat, dimensions ?? [flat.length]) : flat);
}

function elementsOf(value: unknown): unknown[] {
  return isIterable(value) ? Array.from(value) : [];
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value;
}

/** A matrix arrives flat, the last dimension running fastest (OPC 10000-6, 5.2.2.16). */
function nest(flat: readonly unknown[], dimensions: readonly number[]): unknown {
  const [, ...inner] = dimensions;
  if (inner.length === 0) return flat;
  const size = inner.reduce((product, length) => product * length, 1);
  if (size === 0) return [];
  return Array.from({ length: Math.ceil(flat.length / size) }, (_, row) =>
    nest(flat.slice(row * size, (row + 1) * size), inner),
  );
}

/** Plain data for JSON. Structures name their fields by their schema. */
function plainOf(value: unknown, dataType: number): unknown {
  if (value === null || value === undefined) return null;
  if (dataType === BuiltIn.int64 || dataType === BuiltIn.uInt64) return int64Of(dataType, value).toString();
  if (typeof value === 'bigint' || typeof value === 'number') return valueToJson(value);
  if (typeof value !== 'object') return value;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (dataType === BuiltIn.localizedText && 'text' in value) return value.text ?? '';
  if (dataType === BuiltIn.extensionObject) return structureOf(value);
  return isVariant(value) ? plainOf(value.value, value.dataType) : String(value);
}

interface SchemaLike {
  readonly fields?: readonly {
    readonly name: string;
    readonly fieldType: string;
    readonly isArray?: boolean;
  }[];
  readonly _baseSchema?: SchemaLike | null;
}

/** Bounds the depth of structures within structures, which a server may nest without end. */
const STRUCTURE_DEPTH_MAX = 20;

function structureOf(value: object, depth = 0): unknown {
  if (depth > STRUCTURE_DEPTH_MAX) return null;
  if (!('schema' in value)) return 'buffer' in value ? opaqueOf(value) : plainFields(value);
  const plain: Record<string, unknown> = {};
  for (let schema = value.schema as SchemaLike | null | undefined; schema; schema = schema._baseSchema) {
    for (const { name, fieldType, isArray } of schema.fields ?? []) {
      const field = Reflect.get(value, name) as unknown;
      plain[name] = isArray
        ? elementsOf(field).map((element) => fieldOf(element, fieldType, depth))
        : fieldOf(field, fieldType, depth);
    }
  }
  return plain;
}

const FIELD_TYPES: Readonly<Record<string, number>> = {
  Int64: BuiltIn.int64,
  UInt64: BuiltIn.uInt64,
  LocalizedText: BuiltIn.localizedText,
};

function fieldOf(field: unknown, fieldType: string, depth: number): unknown {
  if (typeof field === 'object' && field !== null && 'schema' in field && fieldType !== 'LocalizedText') {
    return isVariant(field) ? plainOf(field.value, field.dataType) : structureOf(field, depth + 1);
  }
  return plainOf(field, FIELD_TYPES[fieldType] ?? BuiltIn.null);
}

/** A structure whose definition the server does not give: its encoding as it came. */
function opaqueOf(value: object): unknown {
  const body: unknown = 'buffer' in value ? value.buffer : null;
  const typeId = 'nodeId' in value ? String(value.nodeId) : '';
  return { typeId, body: body instanceof Uint8Array ? Buffer.from(body).toString('base64') : null };
}

function plainFields(value: object): unknown {
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plainOf(field, 0)]));
}

function isVariant(value: object): value is VariantLike {
  return 'dataType' in value && 'arrayType' in value && 'value' in value;
}
