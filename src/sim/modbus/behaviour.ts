import type { ModbusRawType, ModbusTag } from '../../config/model.ts';
import type { SampleValue } from '../../domain/sample.ts';

/** What is in the device: an integer, a float, or a bit. */
export type RawValue = bigint | number | boolean;

interface IntegerRange {
  readonly min: bigint;
  readonly max: bigint;
}

const INTEGER_RANGES: Readonly<Partial<Record<ModbusRawType, IntegerRange>>> = {
  int16: { min: -(2n ** 15n), max: 2n ** 15n - 1n },
  uint16: { min: 0n, max: 2n ** 16n - 1n },
  int32: { min: -(2n ** 31n), max: 2n ** 31n - 1n },
  uint32: { min: 0n, max: 2n ** 32n - 1n },
  int64: { min: -(2n ** 63n), max: 2n ** 63n - 1n },
  uint64: { min: 0n, max: 2n ** 64n - 1n },
};

/** One tag in this many keeps its value for ever; */
const STUCK_EVERY = 9;
/** and one integer in this many lives at an end of its type's range. */
const EXTREME_EVERY = 4;
/** How many scan periods a value keeps, chosen by the tag's hash. */
const STEP_SCANS = [1, 1, 2, 5];

/** Length of one step of a tag: its value changes at most once in this time, ms. */
export function stepMsOf(tag: ModbusTag, seed: number): number {
  const scans = STEP_SCANS[hash(`${seed}/${tag.name}/pace`) % STEP_SCANS.length] ?? 1;
  return tag.scanMs * scans;
}

/**
 * The raw value of a tag at a step, a function of nothing but its arguments: counters rise strictly (until
 * their type is full, then they start again), other integers wander or live at an end of their range, floats
 * wander, bits toggle, and some of them never change. Never NaN, never -0.
 */
export function rawValueAt(tag: ModbusTag, seed: number, step: number): RawValue {
  const character = hash(`${seed}/${tag.name}/character`);
  const isStuck = tag.class !== 'counter' && character % STUCK_EVERY === 0;
  const at = isStuck ? 0 : step;
  if (tag.rawType === 'bit' || tag.table === 'coil' || tag.table === 'discrete-input') {
    return hash(`${seed}/${tag.name}/${at}`) % 2 === 1;
  }
  const range = INTEGER_RANGES[tag.rawType];
  if (range === undefined) return floatAt(tag, seed, at);
  const span = range.max - range.min + 1n;
  if (tag.class === 'counter') {
    const start = BigInt(character) % (span / 2n);
    const increment = BigInt(1 + (character % 3));
    return range.min < 0n
      ? (start + BigInt(at) * increment) % (range.max + 1n)
      : (start + BigInt(at) * increment) % span;
  }
  const noise = BigInt(hash(`${seed}/${tag.name}/${at}`) % 200);
  if (character % EXTREME_EVERY === 1) return noise % 2n === 0n ? range.max - noise : range.min + noise;
  return range.min + (span / 5n) * BigInt(1 + (character % 4)) + noise;
}

/**
 * The value in engineering units: integers with scale 1 and offset 0 exactly (decimal text above the int64
 * range), everything else `raw × scale + offset` in double arithmetic.
 */
export function engineeringValue(tag: ModbusTag, raw: RawValue): SampleValue {
  if (typeof raw === 'boolean') return raw;
  if (tag.scale !== 1 || tag.offset !== 0) return Number(raw) * tag.scale + tag.offset;
  if (typeof raw === 'number') return raw;
  return BigInt.asIntN(64, raw) === raw ? raw : raw.toString(10);
}

function floatAt(tag: ModbusTag, seed: number, step: number): number {
  const character = hash(`${seed}/${tag.name}/character`);
  const middle = ((character % 2001) - 1000) / 7;
  const amplitude = 1 + (character % 50) / 3;
  const noise = hash(`${seed}/${tag.name}/${step}`) / 2 ** 32 - 0.5;
  const value = middle + amplitude * (Math.sin(step / 20 + character) + noise);
  const stored = tag.rawType === 'float32' ? Math.fround(value) : value;
  return stored === 0 ? 0 : stored;
}

/** FNV-1a over the characters, then a finalizer so that neighbouring steps differ in all bits; 32 bits. */
function hash(text: string): number {
  let state = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    state = Math.imul(state ^ text.charCodeAt(index), 0x01000193);
  }
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return (state ^ (state >>> 16)) >>> 0;
}
