import type { ByteReader, ByteWriter } from '../bytes.ts';

/*
 * 64-bit values are written as the difference to the tag's previous value in the same block, and then by
 * byte planes: all lowest bytes, then all second bytes and so on. What changes little leaves planes of
 * zeros, which zstd takes away.
 */

/** The last 64-bit value of each tag within a block, as two 32-bit halves; all zero at the block's start. */
export class PreviousValues {
  #halves = new Uint32Array(2 * 1024);

  /** Makes room for tag indexes up to `tagIndexMax` and returns the halves: low, high, low, high … */
  halvesUpTo(tagIndexMax: number): Uint32Array {
    if (this.#halves.length < 2 * (tagIndexMax + 1)) {
      this.#halves = new Uint32Array(2 * Math.max(tagIndexMax + 1, this.#halves.length));
    }
    return this.#halves;
  }

  /** Back to zero for the tags that were used. */
  clear(tagIndexes: Uint32Array): void {
    for (const tagIndex of tagIndexes) {
      this.#halves[2 * tagIndex] = 0;
      this.#halves[2 * tagIndex + 1] = 0;
    }
  }
}

/** Writes `halves` (low, high, low, high …) as eight byte planes. */
export function writePlanes(writer: ByteWriter, halves: Uint32Array): void {
  const count = halves.length / 2;
  const planes = writer.claim(count * 8);
  for (let at = 0; at < count; at++) {
    const low = halves[2 * at] as number;
    const high = halves[2 * at + 1] as number;
    planes[at] = low;
    planes[count + at] = low >>> 8;
    planes[2 * count + at] = low >>> 16;
    planes[3 * count + at] = low >>> 24;
    planes[4 * count + at] = high;
    planes[5 * count + at] = high >>> 8;
    planes[6 * count + at] = high >>> 16;
    planes[7 * count + at] = high >>> 24;
  }
}

/** The inverse of `writePlanes`. */
export function readPlanes(reader: ByteReader, count: number): Uint32Array {
  const planes = reader.raw(count * 8);
  const halves = new Uint32Array(2 * count);
  const byte = (plane: number, at: number): number => planes[plane * count + at] as number;
  for (let at = 0; at < count; at++) {
    halves[2 * at] = byte(0, at) | (byte(1, at) << 8) | (byte(2, at) << 16) | (byte(3, at) << 24);
    halves[2 * at + 1] = byte(4, at) | (byte(5, at) << 8) | (byte(6, at) << 16) | (byte(7, at) << 24);
  }
  return halves;
}

/** In place: each value becomes the exclusive-or with the same tag's value before it. */
export function xorForward(halves: Uint32Array, tags: Uint32Array, previous: Uint32Array): void {
  for (let at = 0; at < tags.length; at++) {
    const slot = 2 * (tags[at] as number);
    const low = halves[2 * at] as number;
    const high = halves[2 * at + 1] as number;
    halves[2 * at] = low ^ (previous[slot] as number);
    halves[2 * at + 1] = high ^ (previous[slot + 1] as number);
    previous[slot] = low;
    previous[slot + 1] = high;
  }
}

/** The inverse of `xorForward`. */
export function xorBack(halves: Uint32Array, tags: Uint32Array, previous: Uint32Array): void {
  for (let at = 0; at < tags.length; at++) {
    const slot = 2 * (tags[at] as number);
    previous[slot] = halves[2 * at] = (halves[2 * at] as number) ^ (previous[slot] as number);
    previous[slot + 1] = halves[2 * at + 1] = (halves[2 * at + 1] as number) ^ (previous[slot + 1] as number);
  }
}

/** In place: each value becomes the difference (mod 2^64) to the same tag's value before it, ZigZag coded. */
export function deltaForward(halves: Uint32Array, tags: Uint32Array, previous: Uint32Array): void {
  for (let at = 0; at < tags.length; at++) {
    const slot = 2 * (tags[at] as number);
    const low = halves[2 * at] as number;
    const high = halves[2 * at + 1] as number;
    const previousLow = previous[slot] as number;
    const borrow = low < previousLow ? 1 : 0;
    const deltaLow = (low - previousLow) >>> 0;
    const deltaHigh = (high - (previous[slot + 1] as number) - borrow) >>> 0;
    const sign = deltaHigh >> 31;
    halves[2 * at] = (deltaLow << 1) ^ sign;
    halves[2 * at + 1] = ((deltaHigh << 1) | (deltaLow >>> 31)) ^ sign;
    previous[slot] = low;
    previous[slot + 1] = high;
  }
}

/** The inverse of `deltaForward`. */
export function deltaBack(halves: Uint32Array, tags: Uint32Array, previous: Uint32Array): void {
  for (let at = 0; at < tags.length; at++) {
    const slot = 2 * (tags[at] as number);
    const codedLow = halves[2 * at] as number;
    const codedHigh = halves[2 * at + 1] as number;
    const sign = -(codedLow & 1);
    const deltaLow = (((codedLow >>> 1) | (codedHigh << 31)) ^ sign) >>> 0;
    const deltaHigh = ((codedHigh >>> 1) ^ sign) >>> 0;
    const low = (deltaLow + (previous[slot] as number)) >>> 0;
    const carry = low < deltaLow ? 1 : 0;
    previous[slot] = halves[2 * at] = low;
    previous[slot + 1] = halves[2 * at + 1] = (deltaHigh + (previous[slot + 1] as number) + carry) >>> 0;
  }
}
