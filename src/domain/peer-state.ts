import type { LeaseClaim } from './lease.ts';

/** What an instance says to its peer. */
export interface PeerState extends LeaseClaim {
  readonly instance: number;
  /** It holds a lease that has not run out. */
  readonly hasLease: boolean;
  /** A Kernel answers its claims. */
  readonly kernelAnswers: boolean;
  readonly siteHash: string;
  readonly programVersion: string;
  readonly stationsAnswering: number;
  readonly stations: number;
  /** By name of line: how long ago the active instance last observed it, integer µs. */
  readonly observedAgeUs: Readonly<Record<string, number>>;
}

export interface HandoverRequest {
  /** The instance that is to be active. */
  readonly to: number;
  /** For the audit. */
  readonly operator: string;
  readonly force: boolean;
}
