import type { Random } from '../random.ts';

/** Chance that repeats: the same seed gives the same sequence, on every machine and in every version. */
export interface SimulatedRandom extends Random {
  /** Uniform integer in [0, bound), `bound` at most 2³². */
  below(bound: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
}

/** xoshiro128** (Blackman and Vigna), its state filled from the seed by splitmix32. */
export function createSimulatedRandom(seed: number): SimulatedRandom {
  let mixed = seed >>> 0;
  const mix = () => {
    mixed = (mixed + 0x9e3779b9) | 0;
    let z = mixed;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  let [a, b, c, d] = [mix(), mix(), mix(), mix()];
  const next = () => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotate(d, 11);
    return result;
  };
  const fraction = () => next() / 2 ** 32;
  return {
    fraction,
    bytes: (length) => Uint8Array.from({ length }, () => next() >>> 24),
    below: (bound) => Math.floor(fraction() * bound),
    chance: (probability) => fraction() < probability,
  };
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
