/**
 * What the member of a pair needs of the rest of its instance, and what it tells it. The member decides the
 * role; the uplink, the peer link and the field know nothing of each other.
 */
import type { HandoverRequest, PeerState } from '../domain/peer-state.ts';
import type { Term } from '../domain/term.ts';

export {
  type LeaseAnswer,
  type LeaseClaim,
  type LeasePort,
  type LeaseSide,
  ROLES,
  type Role,
} from '../domain/lease.ts';
export type { HandoverRequest, PeerState } from '../domain/peer-state.ts';

/** Given to the peer link. */
export interface PeerSide {
  /** What to say now; the link asks at each heartbeat. */
  state(): PeerState;
  /** Any network brought word of the peer. */
  heard(state: PeerState): void;
  /** The peer asks this instance to take over from it, or to give way to it, because an operator wants that. */
  handover(request: HandoverRequest): void;
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
