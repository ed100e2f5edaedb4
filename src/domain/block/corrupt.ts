import { KomError } from '../errors.ts';

/** The bytes pass their CRC, or were not asked for one, and yet are no block: KOM_BLOCK_CORRUPT. */
export function corrupt(what: string): KomError {
  return new KomError('KOM_BLOCK_CORRUPT', what);
}
