import type { Term } from './term.ts';

/** What an instance does. `suspended`: it was active and does not know whether it still is. */
export const ROLES = ['starting', 'standby', 'active', 'suspended'] as const;
export type Role = (typeof ROLES)[number];

/** What an instance says to its Kernel every few hundred milliseconds. */
export interface LeaseClaim {
  readonly role: Role;
  /** The term under which it is, or was last, active; 0 for none. */
  readonly ownTerm: Term;
  readonly highestTerm: Term;
  /** `null`: it could be active; else why not. */
  readonly unfit: string | null;
}

export const LEASE_KINDS = ['unable', 'granted', 'held-by-other'] as const;
export type LeaseKind = (typeof LEASE_KINDS)[number];

/** What a Kernel answers to it. */
export interface LeaseAnswer {
  /** `unable`: the Kernel can decide nothing now, and counts as none. */
  readonly kind: LeaseKind;
  readonly term: Term;
  /** 0: nobody. */
  readonly holder: number;
  /** How long a grant holds, counted from when the claim was sent that it answers. */
  readonly durationMs: number;
  /** For a person: `switch`, `preferred`, … */
  readonly reason: string;
}

/** Given to the uplink: where claims come from, and where answers go. */
export interface LeaseSide {
  claim(): LeaseClaim;
  /** `sentMs`: monotonic time at which the claim was sent that this answers. */
  answered(answer: LeaseAnswer, sentMs: number): void;
  /** A session with a Kernel that gives leases began or ended. */
  sessionChanged(isThere: boolean): void;
}

/** Given by the uplink: sends a claim at once, because something changed. */
export interface LeasePort {
  renewNow(): void;
}
