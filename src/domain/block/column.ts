import type { ByteReader, ByteWriter } from '../bytes.ts';
import { BitSink, BitSource } from './bits.ts';
import { corrupt } from './corrupt.ts';

/** Times of a whole millisecond are written as such. */
export const COARSE_UNIT_US = 1000;

/*
 * A column: n integers, of which the reader knows how many there are; none take no byte. One byte says how
 * they are written (the number in its lower six bits is its parameter), and what is cheapest is chosen:
 *
 * fixed   0x00 + w   w bits each; with w = 0 all are zero and nothing follows
 * rice    0x40 + k   byte w; each number v as v >> k ones, a zero, and its k lower bits; from four ones on
 *                    the number itself in w bits behind the four ones
 * sparse  0x3f       varint count of those that are not zero; a column of the numbers of zeros before each;
 *                    a column of them, less one
 *
 * Signed numbers: where none is negative, 0x80 is added to the first byte, a varint behind it is the least
 * number, which was taken off each; else the numbers are ZigZag coded.
 */
/** The greatest number is below 2^53. */
const BITS_MAX = 53;
const FIXED = 0x00;
const RICE = 0x40;
const OFFSET = 0x80;
const SPARSE = 0x3f;
const PARAMETER_MASK = 0x3f;
const ONES_MAX = 4;
/** From here on `>>>` would cut. */
const SHIFT_BELOW = 2 ** 32;

interface Plan {
  /** The first byte of the column, without OFFSET. */
  readonly mode: number;
  /** Bits of the largest number. */
  readonly width: number;
  /** An estimate of what it takes. */
  readonly bits: number;
}

const sink = new BitSink();
const lengths = new Uint32Array(BITS_MAX + 1);
let scratch = new Float64Array(1024);

/** Writes numbers from 0 to 2^53 - 1. */
export function writeColumn(writer: ByteWriter, values: Float64Array): void {
  if (values.length > 0) writePlanned(writer, values, { plan: planOf(values), least: null });
}

/** Writes integers whose magnitude is below 2^52. */
export function writeSignedColumn(writer: ByteWriter, values: Float64Array): void {
  const count = values.length;
  if (count === 0) return;
  if (scratch.length < count) scratch = new Float64Array(2 * count);
  const coded = scratch.subarray(0, count);
  let least = Number.POSITIVE_INFINITY;
  for (let at = 0; at < count; at++) {
    const value = values[at] as number;
    if (value < least) least = value;
  }
  if (least >= 0) for (let at = 0; at < count; at++) coded[at] = (values[at] as number) - least;
  else for (let at = 0; at < count; at++) coded[at] = zigzag(values[at] as number);
  writePlanned(writer, coded, { plan: planOf(coded), least: least >= 0 ? least : null });
}

/** What `writeColumn` wrote. @throws KomError KOM_BLOCK_CORRUPT */
export function readColumn(reader: ByteReader, count: number): Float64Array {
  const values = new Float64Array(count);
  if (count > 0) readInto(reader, values, readByte(reader));
  return values;
}

/** What `writeSignedColumn` wrote. @throws KomError KOM_BLOCK_CORRUPT */
export function readSignedColumn(reader: ByteReader, count: number): Float64Array {
  const values = new Float64Array(count);
  if (count === 0) return values;
  const mode = readByte(reader);
  if ((mode & OFFSET) !== 0) {
    const least = reader.varint();
    readInto(reader, values, mode & ~OFFSET);
    if (least > 0) for (let at = 0; at < count; at++) values[at] = least + (values[at] as number);
    return values;
  }
  readInto(reader, values, mode);
  for (let at = 0; at < count; at++) values[at] = unzigzag(values[at] as number);
  return values;
}

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function unzigzag(value: number): number {
  if (value < SHIFT_BELOW) return (value >>> 1) ^ -(value & 1);
  const half = Math.floor(value / 2);
  return half * 2 === value ? half : -half - 1;
}

function planOf(values: Float64Array): Plan {
  lengths.fill(0);
  for (let at = 0; at < values.length; at++) {
    const length = lengthOf(values[at] as number);
    lengths[length] = (lengths[length] as number) + 1;
  }
  let width = BITS_MAX;
  while (width > 0 && lengths[width] === 0) width--;
  const fixed: Plan = { mode: FIXED + width, width, bits: values.length * width };
  const rice = ricePlan(values.length, width);
  const best = rice.bits < fixed.bits ? rice : fixed;
  const present = values.length - (lengths[0] as number);
  const sparseBits = 32 + present * (3 + Math.log2(values.length / Math.max(1, present)) + width);
  return sparseBits < best.bits ? { mode: SPARSE, width, bits: sparseBits } : best;
}

/** The parameter that takes the fewest bits, going by how many numbers have how many bits. */
function ricePlan(count: number, width: number): Plan {
  let best: Plan = { mode: RICE, width, bits: Number.POSITIVE_INFINITY };
  let upTo = 0;
  for (let k = 0; k <= width; k++) {
    upTo += lengths[k] as number;
    const one = lengths[k + 1] ?? 0;
    const two = lengths[k + 2] ?? 0;
    const above = count - upTo - one - two;
    const bits = 8 + upTo * (k + 1) + one * (k + 2) + two * (k + 3.5) + above * (ONES_MAX + width);
    if (bits < best.bits) best = { mode: RICE + k, width, bits };
  }
  return best;
}

interface Planned {
  readonly plan: Plan;
  /** The number that was taken off each, `null`: none. */
  readonly least: number | null;
}

function writePlanned(writer: ByteWriter, values: Float64Array, { plan, least }: Planned): void {
  writer.byte(plan.mode | (least === null ? 0 : OFFSET));
  if (least !== null) writer.varint(least);
  if (plan.mode === SPARSE) {
    writeSparse(writer, values);
    return;
  }
  const { width } = plan;
  if (plan.mode >= RICE) writer.byte(width);
  const bytes = writer.claim(Math.ceil((values.length * (width + ONES_MAX + 1)) / 8) + 1);
  sink.start(bytes);
  if (plan.mode >= RICE) putRice(values, plan.mode - RICE, width);
  else putFixed(values, width);
  writer.giveBack(bytes.length - sink.finish());
}

function putFixed(values: Float64Array, width: number): void {
  if (width === 0) return;
  if (width <= 24) for (let at = 0; at < values.length; at++) sink.put(values[at] as number, width);
  else for (let at = 0; at < values.length; at++) sink.putLong(values[at] as number, width);
}

function putRice(values: Float64Array, k: number, width: number): void {
  const mask = 2 ** k - 1;
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as number;
    if (k <= 20 && value < SHIFT_BELOW) {
      const ones = value >>> k;
      if (ones < ONES_MAX) {
        sink.put(((value & mask) << (ones + 1)) | ((1 << ones) - 1), k + ones + 1);
        continue;
      }
    } else {
      const ones = Math.floor(value / 2 ** k);
      if (ones < ONES_MAX) {
        sink.put((1 << ones) - 1, ones + 1);
        sink.putLong(value % 2 ** k, k);
        continue;
      }
    }
    sink.put(2 ** ONES_MAX - 1, ONES_MAX);
    sink.putLong(value, width);
  }
}

function writeSparse(writer: ByteWriter, values: Float64Array): void {
  const present: number[] = [];
  const zeros: number[] = [];
  let before = -1;
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as number;
    if (value === 0) continue;
    zeros.push(at - before - 1);
    present.push(value - 1);
    before = at;
  }
  writer.varint(present.length);
  for (const column of [zeros, present]) {
    const numbers = Float64Array.from(column);
    const plan = planOf(numbers);
    // One level is enough: a sparse column of a sparse one would need no fewer bytes, but a deeper reader.
    const dense = plan.mode === SPARSE ? ricePlan(numbers.length, plan.width) : plan;
    if (numbers.length > 0) writePlanned(writer, numbers, { plan: dense, least: null });
  }
}

function readInto(reader: ByteReader, values: Float64Array, mode: number): void {
  if (mode === SPARSE) {
    readSparse(reader, values);
    return;
  }
  const parameter = mode & PARAMETER_MASK;
  const isRice = (mode & ~PARAMETER_MASK) === RICE;
  const width = isRice ? readByte(reader) : parameter;
  if (parameter > BITS_MAX || width > BITS_MAX || mode >= OFFSET)
    throw corrupt('a column is of no known mode');
  if (width === 0 && !isRice) return;
  const source = new BitSource(reader.rest());
  if (isRice) takeRice(source, values, { k: parameter, width });
  else if (width <= 24) for (let at = 0; at < values.length; at++) values[at] = source.take(width);
  else for (let at = 0; at < values.length; at++) values[at] = source.takeLong(width);
  reader.raw(source.bytesRead);
}

function takeRice(source: BitSource, values: Float64Array, { k, width }: { k: number; width: number }): void {
  const scale = 2 ** k;
  for (let at = 0; at < values.length; at++) {
    const ones = source.takeOnes(ONES_MAX);
    if (ones === ONES_MAX) values[at] = source.takeLong(width);
    else values[at] = ones * scale + (k <= 24 ? source.take(k) : source.takeLong(k));
  }
}

function readSparse(reader: ByteReader, values: Float64Array): void {
  const count = reader.varint();
  if (count > values.length) throw corrupt('a column has more numbers than entries');
  const zeros = readDense(reader, count);
  const present = readDense(reader, count);
  let at = -1;
  for (let index = 0; index < count; index++) {
    at += 1 + (zeros[index] as number);
    if (at >= values.length) throw corrupt('a column is longer than its entries');
    values[at] = 1 + (present[index] as number);
  }
}

function readDense(reader: ByteReader, count: number): Float64Array {
  const values = new Float64Array(count);
  if (count === 0) return values;
  const mode = readByte(reader);
  if (mode === SPARSE) throw corrupt('a column is of no known mode');
  readInto(reader, values, mode);
  return values;
}

function readByte(reader: ByteReader): number {
  return reader.raw(1)[0] as number;
}

/** Bits of a number up to 2^53 - 1; 0 for 0. */
function lengthOf(value: number): number {
  return value < 2 ** 32 ? 32 - Math.clz32(value) : 64 - Math.clz32(value / 2 ** 32);
}
