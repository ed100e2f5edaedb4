import type { Reading, TimeGapReason } from '../domain/sample.ts';

/**
 * A driver is two verbs: connect, and iterate. Polling and subscribing look the same from outside. The
 * supervisor owns reconnecting; a driver never retries a connection by itself.
 */
export interface Driver {
  /**
   * Opens the line. When the signal is aborted nothing goes out to the device any more but what closes it.
   * @throws KomError KOM_DEVICE_UNREACHABLE, KOM_LINE_IN_USE and other operating errors; the supervisor tries
   * again later
   */
  connect(signal: AbortSignal, options?: ConnectOptions): Promise<Link>;
  /**
   * Proves that the line could be opened, without disturbing who has it: opens it, reads one tag, closes it;
   * of a serial port it looks only that there is one. True: it was proven. False: there is nothing that could
   * be tested without taking the line from the one who has it.
   * @throws KomError why the line could not be taken over
   */
  prove?(signal: AbortSignal): Promise<boolean>;
}

/**
 * `active`: values come. `standby`: the line is open, so that values come soon after a change of the role; of
 * a line that subscribes, the device keeps what changes meanwhile.
 */
export type LinkRole = 'active' | 'standby';

export interface ConnectOptions {
  /** Default: `active`. */
  readonly role?: LinkRole;
  /** The device is to keep changes for so long while the link stands by. Default: as configured. */
  readonly failoverMs?: number;
  /** On a bus that another instance may still use: nothing is asked while requests of somebody are heard. */
  readonly listenFirst?: boolean;
}

/**
 * An open line. Iterating it yields batches; nobody pulling is the back-pressure. The iteration throws
 * when the whole line is lost. One dead station is not a lost line: its tags get a bad quality and the
 * others go on. Disposing closes the line and everything it holds at the device.
 */
export interface Link extends AsyncIterable<LinkBatch>, AsyncDisposable {
  /**
   * Changes the role without opening the line anew; what the device kept meanwhile comes as batches with
   * `observedSinceUs`. Not there: the line must be opened anew for another role.
   * @throws KomError then the line is to be opened anew
   */
  setRole?(role: LinkRole): Promise<void>;
}

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
   * The device kept every change since then (integer µs), and tells it now: in this batch and the following
   * ones, up to the first that has `unchangedUntilUs`. Not set: nothing is said of the time before.
   */
  readonly observedSinceUs?: number;
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
