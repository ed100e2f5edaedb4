/**
 * A term fences one activation of a process: who acts under a lower one stands down. It is one integer, so
 * that terms compare as numbers and travel as one: sixteen times a counter, plus a rank. A higher counter
 * wins; of the same counter a Kernel's grant beats what an instance granted itself, and then the lower
 * instance. So each term has exactly one minter, and one holder. 0: none.
 */
import { invariant } from './errors.ts';

const RANKS = 16;
const KERNEL_RANK = 15;

export type Term = number;

/** Who granted a term: the hot Kernel, or an instance to itself. */
export type Minter = 'kernel' | { readonly instance: number };

export const NO_TERM: Term = 0;

/** `instance` is 1 to 15. */
export function termOf(counter: number, minter: Minter): Term {
  const rank = minter === 'kernel' ? KERNEL_RANK : KERNEL_RANK - minter.instance;
  invariant(Number.isSafeInteger(counter * RANKS + rank) && counter > 0, 'the counter of a term is positive');
  invariant(rank >= 0 && rank <= KERNEL_RANK, 'instances are 1 to 15');
  return counter * RANKS + rank;
}

export function counterOf(term: Term): number {
  return Math.floor(term / RANKS);
}

/** `null` for no term. */
export function minterOf(term: Term): Minter | null {
  if (counterOf(term) === 0) return null;
  const rank = term % RANKS;
  return rank === KERNEL_RANK ? 'kernel' : { instance: KERNEL_RANK - rank };
}

/** The next term that somebody may grant who has seen terms up to `highest`. */
export function termAbove(highest: Term, minter: Minter): Term {
  return termOf(counterOf(highest) + 1, minter);
}

/** For a person: `7 by the Kernel`, `8 by instance 2`, `none`. */
export function formatTerm(term: Term): string {
  const minter = minterOf(term);
  if (minter === null) return 'none';
  return `${counterOf(term)} by ${minter === 'kernel' ? 'the Kernel' : `instance ${minter.instance}`}`;
}
