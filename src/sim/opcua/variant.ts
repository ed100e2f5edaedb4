import type { DataValue, VariantOptions } from 'node-opcua';
import type { SampleValue } from '../../domain/sample.ts';
import type { Point } from './plant.ts';
import type { OpcuaServerLibrary } from './server.ts';

/** The value of a point as the server library takes it: 64-bit integers as the pair of their halves. */
export function variantOf(library: OpcuaServerLibrary, { type, value }: Point): VariantOptions {
  const dataType = library.DataType[type];
  const arrayType = library.VariantArrayType.Scalar;
  if (type === 'LocalizedText') return { dataType, arrayType, value: { text: String(value), locale: 'en' } };
  if (typeof value !== 'bigint') return { dataType, arrayType, value };
  if (type !== 'Int64' && type !== 'UInt64') return { dataType, arrayType, value: Number(value) };
  const bits = BigInt.asUintN(64, value);
  return { dataType, arrayType, value: [Number(bits >> 32n), Number(bits & 0xffff_ffffn)] };
}

/** What an archive should show for a queued value of one of the simulated types. */
export function shownValue({ value: variant }: DataValue): SampleValue {
  const value: unknown = variant.value;
  // The built-in types 2 to 9 are the integers, 8 and 9 the wide ones (OPC 10000-6, table 1).
  const builtIn: number = variant.dataType;
  if ((builtIn === 8 || builtIn === 9) && Array.isArray(value)) {
    const bits = (BigInt(value[0] >>> 0) << 32n) + BigInt(value[1] >>> 0);
    return builtIn === 8 ? BigInt.asIntN(64, bits) : bits;
  }
  if (builtIn >= 2 && builtIn <= 9) return BigInt(Number(value));
  if (typeof value === 'object' && value !== null && 'text' in value) return String(value.text ?? '');
  return typeof value === 'boolean' || typeof value === 'number' ? value : String(value ?? '');
}
