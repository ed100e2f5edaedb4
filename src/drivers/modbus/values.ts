import type { ModbusTag } from '../../config/model.ts';
import type { SampleValue } from '../../domain/sample.ts';
import { isBitTable, type PlannedRequest, widthOf } from './plan.ts';

const INT64_MAX = 2n ** 63n - 1n;

/**
 * The value of a tag in the answer to a request.
 *
 * Bits are booleans. With scale 1 and offset 0 an integer stays exact: a bigint, or its decimal text where
 * it is a uint64 above the int64 range. All else is a number, `raw × scale + offset` in double arithmetic
 * (a 64-bit raw value is rounded to a double first; a float32 is exactly its double).
 *
 * @param data the data bytes of the answer as they came: registers most significant byte first, bits packed
 *   from the least significant bit (Modbus Application Protocol V1.1b3, 6.1 to 6.4)
 */
export function decodeValue(tag: ModbusTag, request: PlannedRequest, data: Uint8Array): SampleValue {
  const position = tag.address - request.address;
  if (isBitTable(tag.table)) return bitOf(data[position >> 3] ?? 0, position & 7);
  const bytes = mostSignificantFirst(tag, data, position * 2);
  const view = new DataView(bytes.buffer);
  switch (tag.rawType) {
    case 'bit':
      return bitOf(view.getUint16(0), tag.bitIndex);
    case 'int16':
      return scaledInteger(tag, view.getInt16(0));
    case 'uint16':
      return scaledInteger(tag, view.getUint16(0));
    case 'int32':
      return scaledInteger(tag, view.getInt32(0));
    case 'uint32':
      return scaledInteger(tag, view.getUint32(0));
    case 'int64':
      return scaledInteger(tag, view.getBigInt64(0));
    case 'uint64':
      return scaledInteger(tag, view.getBigUint64(0));
    case 'float32':
      return scaled(tag, view.getFloat32(0));
    case 'float64':
      return scaled(tag, view.getFloat64(0));
  }
}

function bitOf(word: number, index: number): boolean {
  return ((word >> index) & 1) === 1;
}

function isUnscaled(tag: ModbusTag): boolean {
  return tag.scale === 1 && tag.offset === 0;
}

function scaled(tag: ModbusTag, raw: number): number {
  return isUnscaled(tag) ? raw : raw * tag.scale + tag.offset;
}

function scaledInteger(tag: ModbusTag, raw: number | bigint): SampleValue {
  if (!isUnscaled(tag)) return scaled(tag, Number(raw));
  const exact = BigInt(raw);
  return exact > INT64_MAX ? exact.toString() : exact;
}

/** The tag's registers with its word and byte order undone. */
function mostSignificantFirst(tag: ModbusTag, data: Uint8Array, offset: number): Uint8Array<ArrayBuffer> {
  const width = widthOf(tag);
  const bytes = new Uint8Array(width * 2);
  for (let word = 0; word < width; word++) {
    const from = offset + 2 * (tag.wordOrder === 'big' ? word : width - 1 - word);
    const [high, low] = tag.byteOrder === 'big' ? [from, from + 1] : [from + 1, from];
    bytes[2 * word] = data[high] ?? 0;
    bytes[2 * word + 1] = data[low] ?? 0;
  }
  return bytes;
}
