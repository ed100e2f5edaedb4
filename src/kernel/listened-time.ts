/**
 * Time in which somebody is heard. While nobody is, the listener itself may be cut off, and what passes then
 * is held against nobody: a Kernel whose network comes back does not take the one for gone whose connection
 * is the second to be there again.
 */
export interface ListenedTime {
  /** When anybody was heard last, monotonic; `null`: nobody ever was, and time passes as ever. */
  readonly heardMs: number | null;
  /** How long nobody may be heard before time stands still. */
  readonly allowanceMs: number;
}

export const NEVER_HEARD: ListenedTime = { heardMs: null, allowanceMs: 0 };

/** For how long time has stood still: what ran then ends so much later. */
export function stillMs({ heardMs, allowanceMs }: ListenedTime, nowMs: number): number {
  return heardMs === null ? 0 : Math.max(0, nowMs - heardMs - allowanceMs);
}

/** The time, without that for which it stands still now. */
export function listenedMs(time: ListenedTime, nowMs: number): number {
  return nowMs - stillMs(time, nowMs);
}
