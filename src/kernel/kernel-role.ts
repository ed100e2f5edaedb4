import type { Coverage } from '../domain/coverage.ts';
import type { Channel } from '../uplink/channel.ts';
import type { Pace } from '../uplink/silence.ts';

/** What one of several Kernels may do for agents now. */
export interface KernelRole {
  readonly takesSessions: boolean;
  /** @throws KomError KOM_KERNEL_STANDBY where agents are not welcome now */
  checkTakes(): void;
  /**
   * The epoch of this Kernel, for an agent, `by` name, that has seen one.
   * @throws KomError KOM_LIMIT_EXCEEDED, KOM_KERNEL_STANDBY
   */
  met(claimed: number, by: string): Promise<number>;
  /** What of a stream's coverage may be acknowledged. */
  acknowledgeable(streamId: string, coverage: Coverage): Coverage;
  /** Tells an agent who is hot, until the connection ends. */
  serveWatch(channel: Channel, pace: Pace): Promise<void>;
}

/** What an operator switches. */
export interface Switchable {
  readonly status: { readonly name: string };
  /**
   * Another Kernel becomes hot, in good order; `isForced`: also one with a wrong clock.
   * @throws KomError KOM_SWITCH_REFUSED, and why, KOM_SWITCH_UNCONFIRMED, KOM_USAGE
   */
  handOver(to: string, isForced: boolean): Promise<void>;
  /** An operator changed his mind. True: a switch is given up of which nothing has happened yet. */
  cancel(): boolean;
  /** This Kernel becomes hot above everything that it knows of. Returns what it may lack. */
  force(): Promise<string[]>;
}
