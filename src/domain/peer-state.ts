import type { ActivationState } from './lease.ts';

/** What an instance says to its peer. */
export interface PeerState extends ActivationState {
  readonly instance: number;
  /** It holds a lease that has not run out. */
  readonly hasLease: boolean;
  /** A Kernel answers its claims. */
  readonly kernelAnswers: boolean;
  readonly siteHash: string;
  readonly programVersion: string;
  readonly stationsAnswering: number;
  readonly stations: number;
  /** Bytes of its own stores that the other side does not have yet. */
  readonly mirrorLagBytes: number;
  /** By name of line: how long ago the active instance last observed it, integer µs. */
  readonly observedAgeUs: Readonly<Record<string, number>>;
}
