/**
 * The bound on what a power cut loses, as the age of the oldest sample that is then nowhere: it waits in its
 * block, the block for its acknowledgement, then for the write that is under way when it falls due, and for
 * its own. `writeMs` is the slowest write of blocks of the last hour, from the moment at which the ring was
 * asked until they were durable: whatever the ring does first (the sync of another write, the change to a new
 * segment) is in it. All in ms.
 */
export function powerCutBoundMs(ages: {
  readonly store: 'always' | 'on-outage';
  readonly blockAgeMs: number;
  /** Not waited for with `always`. */
  readonly spillAgeMs: number;
  readonly writeMs: number;
}): number {
  const { store, blockAgeMs, spillAgeMs, writeMs } = ages;
  return blockAgeMs + (store === 'always' ? 0 : spillAgeMs) + 2 * writeMs;
}
