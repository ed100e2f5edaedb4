import type { SimulatedRandom } from '../../src/world/simulated/random.ts';

export function pick<T>(random: SimulatedRandom, items: readonly T[]): T {
  return items[random.below(items.length)] as T;
}

type Mutation = (bytes: Buffer, random: SimulatedRandom, other: Uint8Array) => Buffer;

const INTERESTING = [0, 1, 0x7f, 0x80, 0xff];
/** Varints of 2^31, 2^53 and 2^64 - 1, and one that does not end. */
const HUGE = ['8080808008', '8080808080808010', 'ffffffffffffffffff01', 'ffffffffffffffffffffffff'];

/** Ways to damage bytes; what a length, a count or a field number was is known to none of them. */
const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'bit flips': (bytes, random) => {
    for (let left = 1 + random.below(8); left > 0 && bytes.length > 0; left--) {
      const at = random.below(bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
    }
    return bytes;
  },
  'telling bytes': (bytes, random) => {
    if (bytes.length > 0) bytes[random.below(bytes.length)] = pick(random, INTERESTING);
    return bytes;
  },
  'a huge number': (bytes, random) => {
    const at = random.below(bytes.length + 1);
    return Buffer.concat([
      bytes.subarray(0, at),
      Buffer.from(pick(random, HUGE), 'hex'),
      bytes.subarray(at + 1),
    ]);
  },
  truncation: (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1)),
  'a piece taken out': (bytes, random) => {
    const at = random.below(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(40))]);
  },
  'a piece again': (bytes, random) => {
    const from = random.below(bytes.length + 1);
    const piece = bytes.subarray(from, from + 1 + random.below(200));
    const times = 1 + random.below(50);
    return Buffer.concat([
      bytes.subarray(0, from),
      ...Array.from({ length: times }, () => piece),
      bytes.subarray(from),
    ]);
  },
  'two pieces swapped': (bytes, random) => {
    const [a, b] = [random.below(bytes.length + 1), random.below(bytes.length + 1)].sort((x, y) => x - y);
    const length = Math.min(1 + random.below(20), (b ?? 0) - (a ?? 0));
    const [first, second] = [a ?? 0, b ?? 0];
    return Buffer.concat([
      bytes.subarray(0, first),
      bytes.subarray(second, second + length),
      bytes.subarray(first + length, second),
      bytes.subarray(first, first + length),
      bytes.subarray(second + length),
    ]);
  },
  'the end of another': (bytes, random, other) =>
    Buffer.concat([
      bytes.subarray(0, random.below(bytes.length + 1)),
      other.subarray(random.below(other.length + 1)),
    ]),
};

/** A damaged copy of `bytes`; one to three mutations, or none once in eight. */
export function mutate(bytes: Uint8Array, random: SimulatedRandom, other: Uint8Array): Uint8Array {
  let damaged = Buffer.from(bytes);
  if (random.below(8) === 0) return damaged;
  for (let left = 1 + random.below(3); left > 0; left--) {
    damaged = Buffer.from(pick(random, Object.values(MUTATIONS))(damaged, random, other));
  }
  return damaged;
}
