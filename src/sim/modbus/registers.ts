import type { ModbusRawType, ModbusTag } from '../../config/model.ts';
import type { RawValue } from './behaviour.ts';

/**
 * Encoding and decoding of registers for the simulator, in plain integer arithmetic. It is written apart
 * from the driver's decoder on purpose: a mistake in one must not cancel out against the same mistake in the
 * other.
 */
const REGISTER_COUNTS: Readonly<Record<ModbusRawType, number>> = {
  bit: 1,
  int16: 1,
  uint16: 1,
  int32: 2,
  uint32: 2,
  float32: 2,
  int64: 4,
  uint64: 4,
  float64: 4,
};

/** How many registers the tag fills (one bit in a bit table counts as one). */
export function sizeOf(tag: ModbusTag): number {
  return tag.table === 'coil' || tag.table === 'discrete-input' ? 1 : REGISTER_COUNTS[tag.rawType];
}

/** The registers (0 to 65535) of a number, in the order of their addresses. */
export function encodeNumber(tag: ModbusTag, raw: bigint | number): number[] {
  const count = REGISTER_COUNTS[tag.rawType];
  const bits = BigInt.asUintN(16 * count, typeof raw === 'bigint' ? raw : floatBits(tag.rawType, raw));
  const registers: number[] = [];
  for (let word = 0n; word < BigInt(count); word++) {
    const register = Number((bits >> (16n * word)) & 0xffffn);
    registers.push(tag.byteOrder === 'little' ? swapBytes(register) : register);
  }
  return tag.wordOrder === 'little' ? registers : registers.reverse();
}

/** The register with one bit set or cleared. */
export function withBit(tag: ModbusTag, register: number, bit: boolean): number {
  const mask = tag.byteOrder === 'little' ? swapBytes(1 << tag.bitIndex) : 1 << tag.bitIndex;
  return bit ? register | mask : register & ~mask & 0xffff;
}

/** The raw value that registers hold. */
export function decodeRegisters(tag: ModbusTag, registers: readonly number[]): RawValue {
  const ordered = tag.wordOrder === 'little' ? [...registers].reverse() : registers;
  let bits = 0n;
  for (const register of ordered) {
    bits = bits * 65536n + BigInt(tag.byteOrder === 'little' ? swapBytes(register) : register);
  }
  switch (tag.rawType) {
    case 'bit':
      return (bits >> BigInt(tag.bitIndex)) % 2n === 1n;
    case 'int16':
      return BigInt.asIntN(16, bits);
    case 'int32':
      return BigInt.asIntN(32, bits);
    case 'int64':
      return BigInt.asIntN(64, bits);
    case 'uint16':
    case 'uint32':
    case 'uint64':
      return bits;
    case 'float32':
      return Buffer.from(bits.toString(16).padStart(8, '0'), 'hex').readFloatBE();
    case 'float64':
      return Buffer.from(bits.toString(16).padStart(16, '0'), 'hex').readDoubleBE();
  }
}

function floatBits(rawType: ModbusRawType, value: number): bigint {
  const bytes = Buffer.alloc(rawType === 'float32' ? 4 : 8);
  if (rawType === 'float32') bytes.writeFloatBE(value);
  else bytes.writeDoubleBE(value);
  return BigInt(`0x${bytes.toString('hex')}`);
}

function swapBytes(register: number): number {
  return ((register & 0xff) << 8) | (register >> 8);
}
