import type { KernelAddress } from '../config/model.ts';
import type { KomError } from '../domain/errors.ts';
import type { Lanes } from './greet.ts';
import type { Hello, Lane } from './messages.ts';

/** Makes the Hello of a lane. */
export type MakeHello = (lane: Lane, sessionId: string) => Hello;

/** How lanes to a Kernel come about, whoever dials. */
export interface LaneMaker {
  /** Until there are lanes. @throws the signal's reason */
  open(signal: AbortSignal): Promise<Lanes>;
  /** The session over the last lanes ended; `error`: why, if we did not end it for a better one. */
  ended(end: { readonly error: KomError | null; readonly isStable: boolean }): void;
  /** Beside a session: resolves to why it should give way to better lanes. @throws the signal's reason */
  better(signal: AbortSignal): Promise<string>;
  /** Beside everything, until the signal: hears from other Kernels that they are hot. */
  watch(signal: AbortSignal): Promise<void>;
  /** Other Kernels from now on; a session with one that stays goes on. */
  change(kernels: NamedKernels): void;
  /** State of every path. */
  readonly paths: readonly PathStatus[];
}

/** What a site file says of where the Kernels are. */
export interface NamedKernels {
  /** To be dialled, the preferred one first. */
  readonly kernels: readonly KernelAddress[];
  /** Addresses and networks that Kernels may dial from; empty: any. */
  readonly allowFrom: readonly string[];
}

/** One way to a Kernel, for the status. */
export interface PathStatus {
  readonly address: string;
  /** Where connections leave from; `null`: the system's choice. */
  readonly localAddress: string | null;
  /** `standby`: the Kernel there says so, over a connection that is open. */
  readonly state: 'in-use' | 'standby' | 'answers' | 'waits' | 'listens' | 'unknown';
  /** Since the state there is so, as the Kernel says, integer µs; `null`: it says nothing. */
  readonly heardSinceUs: number | null;
  readonly lastError: string | null;
  /** When that was, wall time, integer µs; `null` without one. */
  readonly failedUs: number | null;
}
