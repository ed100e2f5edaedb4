/** A connection of a process, for the right to deliver. */
export interface Deliverer {
  readonly sessionId: string;
  /** Streams of its own stores. */
  readonly own: ReadonlySet<string>;
  /** Streams of which it holds something for another instance. */
  readonly mirrored: ReadonlySet<string>;
}

/**
 * Who delivers each mirrored stream: its owner, if it is connected, and then it needs no right; else whoever
 * has the right already; else the first connection that mirrors it. `deliverers`: in the order in which they
 * connected. Returns the session of each stream for which a mirror has the right.
 */
export function deliveryRights(
  deliverers: readonly Deliverer[],
  before: ReadonlyMap<string, string>,
): Map<string, string> {
  const rights = new Map<string, string>();
  const owned = new Set(deliverers.flatMap(({ own }) => [...own]));
  for (const { sessionId, mirrored } of deliverers) {
    for (const streamId of mirrored) {
      if (owned.has(streamId)) continue;
      const isHolder = before.get(streamId) === sessionId;
      if (isHolder || !rights.has(streamId)) rights.set(streamId, sessionId);
    }
  }
  return rights;
}
