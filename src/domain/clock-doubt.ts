import { formatTimeUs } from './units.ts';

/** A moment that has surely passed: the program was built, a file was written, a certificate was issued. */
export interface PassedMoment {
  /** What happened then: `the program was built`. */
  readonly what: string;
  /** Integer µs. */
  readonly atUs: number;
}

/** Clocks of a site differ, and certificates are made on another machine. */
const TOLERANCE_US = 60_000_000;

/** Why a wall clock that shows `nowUs` must be wrong; `null` if nothing speaks against it. */
export function clockDoubt(nowUs: number, passed: readonly PassedMoment[]): string | null {
  const newest = passed.reduce<PassedMoment | null>(
    (best, moment) => (best === null || moment.atUs > best.atUs ? moment : best),
    null,
  );
  if (newest === null || nowUs >= newest.atUs - TOLERANCE_US) return null;
  const since = `${newest.what} at ${formatTimeUs(newest.atUs)}`;
  return `the clock of this machine is wrong: it shows ${formatTimeUs(nowUs)}, but ${since}`;
}
