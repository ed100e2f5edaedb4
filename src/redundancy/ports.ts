/**
 * What the member of a pair needs of the rest of its instance, and what it tells it. The member decides the
 * role; the uplink, the peer link and the field know nothing of each other.
 */
import type { Term } from '../domain/term.ts';

/** `suspended`: it was active and does not know whether it still is; nothing goes in or out. */
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

/** What a Kernel answers to it. */
export interface LeaseAnswer {
  /** `unable`: the Kernel can decide nothing now, and counts as none. */
  readonly kind: 'granted' | 'held-by-other' | 'unable';
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
  /** A session with a Kernel began or ended. */
  sessionChanged(isThere: boolean): void;
}

/** Given by the uplink: sends a claim at once, because something changed. */
export interface LeasePort {
  renewNow(): void;
}

/** What an instance says to its peer. */
export interface PeerState {
  readonly instance: number;
  readonly role: Role;
  readonly ownTerm: Term;
  readonly highestTerm: Term;
  /** It holds a lease that has not run out. */
  readonly hasLease: boolean;
  /** A Kernel answers its claims. */
  readonly kernelAnswers: boolean;
  readonly siteHash: string;
  readonly programVersion: string;
  readonly stationsAnswering: number;
  readonly stations: number;
  /** `null`: it could be active; else why not. */
  readonly unfit: string | null;
  /** By name of line: how long ago the active instance last observed it, integer µs. */
  readonly observedAgeUs: Readonly<Record<string, number>>;
}

/** Given to the peer link. */
export interface PeerSide {
  /** What to say now; the link asks at each heartbeat. */
  state(): PeerState;
  /** Any network brought word of the peer. */
  heard(state: PeerState): void;
  /** The peer asks this instance to take over from it, or to give way to it, because an operator wants that. */
  handover(request: HandoverRequest): void;
}

export interface HandoverRequest {
  /** The instance that is to be active. */
  readonly to: number;
  /** For the audit. */
  readonly operator: string;
  readonly force: boolean;
}

/** Given by the peer link. */
export interface PeerPort {
  /** The monotonic time of the last byte of the peer on any network; negative infinity before the first. */
  readonly heardMs: number;
  /** Says the state at once, because it changed. */
  tellNow(): void;
  requestHandover(request: HandoverRequest): void;
}

/** Given by the field: the lines of the instance. */
export interface FieldPort {
  /**
   * Lines are observed and numbered from now on. `observedAgeUs`: how long ago the instance that was active
   * before last observed each line, as far as it is known.
   */
  activate(observedAgeUs: Readonly<Record<string, number>>): void;
  /** Nothing is numbered any more when it resolves; lines go to their standby modes. */
  standBy(): Promise<void>;
  /** Nothing goes in or out, from this call on, until one of the other two. */
  suspend(): void;
  /** Neither lease nor live peer, or no longer so: lines with one client only are released, or taken back. */
  isolated(isIsolated: boolean): void;
}

/** Keeps terms through restarts. */
export interface TermNotes {
  /** The highest term that is durable here. */
  readonly highest: Term;
  /** Resolves when durable. @throws KomError KOM_STORE_OPEN, KOM_STORE_WRITE where the disk takes nothing */
  raise(term: Term): Promise<void>;
}
