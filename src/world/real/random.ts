import { randomBytes } from 'node:crypto';
import type { Random } from '../random.ts';

/** Chance of this machine: bytes fit for identities and keys, fractions for jitter. */
export function createRandom(): Random {
  return {
    bytes: (length) => new Uint8Array(randomBytes(length)),
    fraction: () => Math.random(),
  };
}
