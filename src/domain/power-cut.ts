/**
 * The bound on what a power cut loses, as the age of the oldest sample that is then nowhere: it waits in its
 * block, the block for its acknowledgement, then for the write that is under way when it falls due, and for
 * its own. `writeMs` is the slowest write of the last hour, from the moment at which the ring was asked until
 * it was durable: whatever the ring does first (the sync of another write, the change to a new segment) is in
 * it. `stallMs` is the latest that the process was at one of the two moments, because it was held up or busy:
 * a block is sealed so much later, and handed to the ring so much later. All in ms.
 */
export function powerCutBoundMs(ages: {
  readonly store: 'always' | 'on-outage';
  readonly blockAgeMs: number;
  /** Not waited for with `always`. */
  readonly spillAgeMs: number;
  readonly writeMs: number;
  readonly stallMs: number;
}): number {
  const { store, blockAgeMs, spillAgeMs, writeMs, stallMs } = ages;
  const waits = store === 'always' ? [blockAgeMs] : [blockAgeMs, spillAgeMs];
  return waits.reduce((sum, ageMs) => sum + ageMs + stallMs, 0) + 2 * writeMs;
}
