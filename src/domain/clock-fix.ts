import { CLOCK_STEP_US, type ClockChange, type ClockEra } from './clock-discipline.ts';
import { FIRST_SEQUENCE } from './stream.ts';

/** A correction by more than this is no clock, it is nonsense: 200 years, µs. */
export const CLOCK_FIX_MAX_US = 200 * 365.25 * 86_400_000_000;

/**
 * By how much the times were off that the agent stamped in a range of a stream. It takes a sequence number
 * itself and travels like data. Of two that speak of one number, the one made last counts. It says nothing
 * about times that a device gave.
 */
export interface ClockFix {
  /** The stream of the range: the one that this is in, or an earlier one of the same store and boot. */
  readonly streamId: string;
  readonly firstSequence: number;
  /** Inclusive. */
  readonly lastSequence: number;
  /** To be added to the stamped times, integer µs. */
  readonly offsetUs: number;
  /** When it was made, integer µs, on the agent's clock. */
  readonly atUs: number;
}

/** The numbers of a stream that were stamped in one era, and what has been told of them. */
export interface StampedEra extends ClockEra {
  readonly firstSequence: number;
  /** The agent's time was set at one of its ends, so it may be wrong. */
  readonly isSuspect: boolean;
  /** What the last fix said; `null`: there was none. */
  readonly fixedUs: number | null;
}

/** Whose time is known: the true time minus the monotonic clock, µs. */
export interface ClockReference {
  readonly offsetUs: number;
  /** `system` corrects uncertain times only: who is right after a step is for a Kernel to tell. */
  readonly by: 'kernel' | 'system';
}

/** The stamped numbers of a stream, for what is to be told of them. */
export interface StampedStream {
  readonly streamId: string;
  /** Oldest first. */
  readonly eras: readonly StampedEra[];
  /** The last number of the last era. */
  readonly through: number;
}

/** Eras of a stream that are remembered; of older ones nothing more is told. */
export const ERAS_MAX = 64;

/** The eras of a stream that begins in one. */
export function firstEra(era: ClockEra): readonly StampedEra[] {
  return [stamped(era, FIRST_SEQUENCE)];
}

/** The eras after a change: numbers from `nextSequence` on are stamped anew. */
export function withChange(
  eras: readonly StampedEra[],
  { before, after, byUs }: ClockChange,
  nextSequence: number,
): readonly StampedEra[] {
  const isStep = Math.abs(byUs) > CLOCK_STEP_US;
  const closed = eras.slice(0, -1);
  const last = eras.at(-1);
  // An era without a number is none.
  if (last !== undefined && last.firstSequence < nextSequence) {
    closed.push({ ...last, offsetUs: before.offsetUs, isSuspect: last.isSuspect || isStep });
  }
  return [...closed, { ...stamped(after, nextSequence), isSuspect: isStep }].slice(-ERAS_MAX);
}

/** The last era with the offset that slewing has brought it to. */
export function withOffset(eras: readonly StampedEra[], offsetUs: number): readonly StampedEra[] {
  return eras.map((era, at) => (at === eras.length - 1 ? { ...era, offsetUs } : era));
}

/**
 * What is to be told of eras that are over, and the eras with that noted. An era that was certain, or that
 * turns out to be right within a second, needs no fix.
 */
export function fixesOf(
  { streamId, eras, through }: StampedStream,
  reference: ClockReference,
  atUs: number,
): { readonly fixes: readonly ClockFix[]; readonly eras: readonly StampedEra[] } {
  const fixes: ClockFix[] = [];
  const noted = eras.map((era, at): StampedEra => {
    const lastSequence = (eras[at + 1]?.firstSequence ?? through + 1) - 1;
    const offsetUs = Math.round(reference.offsetUs - era.offsetUs);
    if (lastSequence < era.firstSequence || !isOpen(era, reference, offsetUs)) return era;
    const isRight = era.isCertain && era.fixedUs === null && Math.abs(offsetUs) <= CLOCK_STEP_US;
    if (!isRight) fixes.push({ streamId, firstSequence: era.firstSequence, lastSequence, offsetUs, atUs });
    return { ...era, fixedUs: isRight ? 0 : offsetUs };
  });
  return { fixes, eras: noted };
}

function isOpen(era: StampedEra, reference: ClockReference, offsetUs: number): boolean {
  if (era.isCertain && (!era.isSuspect || reference.by === 'system')) return false;
  return era.fixedUs === null || Math.abs(era.fixedUs - offsetUs) > CLOCK_STEP_US;
}

function stamped(era: ClockEra, firstSequence: number): StampedEra {
  return { ...era, firstSequence, isSuspect: false, fixedUs: null };
}
