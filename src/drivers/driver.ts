import type { Reading, TimeGapReason } from '../domain/sample.ts';

/**
 * A driver is two verbs: connect, and iterate. Polling and subscribing look the same from outside. The
 * supervisor owns reconnecting; a driver never retries a connection by itself.
 */
export interface Driver {
  /**
   * Opens the line.
   * @throws KomError KOM_DEVICE_UNREACHABLE and other operating errors; the supervisor tries again later
   */
  connect(signal: AbortSignal): Promise<Link>;
}

/**
 * An open line. Iterating it yields batches; nobody pulling is the back-pressure. The iteration throws
 * when the whole line is lost. One dead station is not a lost line: its tags get a bad quality and the
 * others go on. Disposing closes the line and everything it holds at the device.
 */
export interface Link extends AsyncIterable<LinkBatch>, AsyncDisposable {}

/** What one station said at one moment. */
export interface LinkBatch {
  /** Station name within the process. */
  readonly station: string;
  /**
   * Values read or notified, in the order in which the device produced them. A failed tag is a bad reading.
   */
  readonly readings: readonly Reading[];
  /**
   * Every tag of the station that is good and not in `readings` is unchanged up to this time (integer µs):
   * a keep-alive of a subscription. Not set: nothing is said about the others.
   */
  readonly unchangedUntilUs?: number;
  /**
   * Intervals that the driver knows it could not see although the station was connected (a queue
   * overflowed).
   */
  readonly unseen?: readonly UnseenInterval[];
}

export interface UnseenInterval {
  /** Tag indexes; empty: every tag of the station. */
  readonly tagIndexes: readonly number[];
  readonly fromUs: number;
  readonly toUs: number;
  readonly reason: TimeGapReason;
}
