import type { Term } from './term.ts';

/** What an instance does. `suspended`: it was active and does not know whether it still is. */
export const ROLES = ['starting', 'standby', 'active', 'suspended'] as const;
export type Role = (typeof ROLES)[number];

/** Which instance is to be active if nothing else decides. */
export interface Preference {
  /** 0: none. */
  readonly instance: number;
  /** When an operator said so, integer µs; 0: the site file says so. The latest one holds. */
  readonly setAtUs: number;
}

/** An operator wants an instance to be active. */
export interface HandoverRequest {
  /** The instance that is to be active. */
  readonly to: number;
  /** For the audit. */
  readonly operator: string;
  readonly force: boolean;
}

/** What an instance says of itself, to its Kernel and to its peer. */
export interface ActivationState {
  readonly role: Role;
  /** The term under which it is, or was last, active; 0 for none. */
  readonly ownTerm: Term;
  readonly highestTerm: Term;
  /** `null`: it could be active; else why not. */
  readonly unfit: string | null;
  /** Its process ends; it takes no lease any more. */
  readonly isLeaving: boolean;
  readonly preferred: Preference;
}

/** What an instance says to its Kernel every few hundred milliseconds. */
export interface LeaseClaim extends ActivationState {
  /** It acts under no term up to this one, and never will again; a lease of such a term is over. */
  readonly releasedTerm: Term;
  /** Evidence that the process of the other instance is dead, as `PeerPort.goneMs` defines it. */
  readonly peerGone: boolean;
  readonly preferHoldOffMs: number;
  /** How long a lease it asks for: 1.2 s, on slow links 10 s. The Kernel grants 0.5 to 60 s. */
  readonly leaseMs: number;
  /** What an operator asked for at this instance; said until the first answer to a claim that says it. */
  readonly wish: HandoverRequest | null;
}

export const LEASE_KINDS = ['unable', 'granted', 'held-by-other'] as const;
export type LeaseKind = (typeof LEASE_KINDS)[number];

/** What a Kernel answers to it. */
export interface LeaseAnswer {
  /** `unable`: the Kernel can decide nothing now, and counts as none. */
  readonly kind: LeaseKind;
  /** Of the holder, made durable by the Kernel before; during a hand-over that of the instance to come. */
  readonly term: Term;
  /** 0: nobody, the Kernel has not decided yet. */
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
