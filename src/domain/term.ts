/**
 * A term fences one activation of a process: who acts under a lower one stands down. It is one integer, so
 * that terms compare as numbers and travel as one: 32 times a counter, plus a rank that says who granted it,
 * and to whom. A higher counter wins; of the same counter a Kernel's grant beats what an instance granted
 * itself, and then the lower instance. As a term names its holder, two instances never have the same one,
 * whoever grants, and whatever those who grant know of each other. 0: none.
 */
import { invariant } from './errors.ts';

const RANKS = 32;
/** That of a Kernel's grant to an instance is by so much above what that instance grants itself. */
const KERNEL_RANK = 16;
/** The rank of what an instance grants itself is this less its number. */
const SELF_RANK = 15;

export type Term = number;

/** Whose a term is, and who granted it: the hot Kernel, or that instance to itself. */
export interface Grantee {
  /** 1 to 15. */
  readonly instance: number;
  readonly by: 'kernel' | 'itself';
}

export const NO_TERM: Term = 0;

export function termOf(counter: number, { instance, by }: Grantee): Term {
  invariant(instance >= 1 && instance <= SELF_RANK, 'instances are 1 to 15');
  const term = counter * RANKS + (by === 'kernel' ? KERNEL_RANK : 0) + SELF_RANK - instance;
  invariant(Number.isSafeInteger(term) && counter > 0, 'the counter of a term is positive');
  return term;
}

export function counterOf(term: Term): number {
  return Math.floor(term / RANKS);
}

/** `null` for no term. */
export function granteeOf(term: Term): Grantee | null {
  if (counterOf(term) === 0) return null;
  const rank = term % RANKS;
  return { instance: SELF_RANK - (rank % KERNEL_RANK), by: rank >= KERNEL_RANK ? 'kernel' : 'itself' };
}

/** The next term that somebody may grant who has seen terms up to `highest`. */
export function termAbove(highest: Term, grantee: Grantee): Term {
  return termOf(counterOf(highest) + 1, grantee);
}

/** For a person: `7 by the Kernel`, `8 by instance 2`, `none`. */
export function formatTerm(term: Term): string {
  const grantee = granteeOf(term);
  if (grantee === null) return 'none';
  const { by, instance } = grantee;
  return `${counterOf(term)} by ${by === 'kernel' ? 'the Kernel' : `instance ${instance}`}`;
}
