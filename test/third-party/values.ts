/* What the bodies of both versions have in common. */
import type { Bytes } from './bytes.ts';
import type { Entry } from './entry.ts';

export interface Numbers {
  readonly tags: readonly number[];
  readonly values: Entry['value'][];
  /** Places of each kind. */
  readonly int64: readonly number[];
  readonly float64: readonly number[];
}

export function readQualities(bytes: Bytes, count: number): number[] {
  const qualities: number[] = [];
  while (qualities.length < count) {
    const [length, quality] = [bytes.varint(), bytes.varint()];
    if (length < 1 || length > count - qualities.length) throw new Error('runs of qualities do not fit');
    for (let left = length; left > 0; left--) qualities.push(quality);
  }
  return qualities;
}

/** The 64-bit numbers, int64 and then float64, each against the one before of its tag. */
export function readRaw(bytes: Bytes, { tags, values, int64, float64 }: Numbers): void {
  const lastInt = new Map<number, bigint>();
  for (const [index, coded] of bytes.planes(int64.length).entries()) {
    const at = int64[index] ?? 0;
    const difference = (coded >> 1n) ^ -(coded & 1n);
    const value = BigInt.asIntN(64, (lastInt.get(tags[at] ?? 0) ?? 0n) + difference);
    lastInt.set(tags[at] ?? 0, value);
    values[at] = value;
  }
  const lastBits = new Map<number, bigint>();
  const view = new DataView(new ArrayBuffer(8));
  for (const [index, coded] of bytes.planes(float64.length).entries()) {
    const at = float64[index] ?? 0;
    const bits = coded ^ (lastBits.get(tags[at] ?? 0) ?? 0n);
    lastBits.set(tags[at] ?? 0, bits);
    view.setBigUint64(0, bits);
    values[at] = view.getFloat64(0);
  }
}
