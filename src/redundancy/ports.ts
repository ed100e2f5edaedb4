/**
 * What the member of a pair needs of the rest of its instance, and what it tells it. The member decides the
 * role; the uplink, the peer link and the field know nothing of each other.
 */
import type { HandoverRequest, Preference } from '../domain/lease.ts';
import type { PeerState } from '../domain/peer-state.ts';
import type { Term } from '../domain/term.ts';

export type {
  HandoverRequest,
  LeaseAnswer,
  LeasePort,
  LeaseSide,
  Preference,
} from '../domain/lease.ts';
export type { PeerState } from '../domain/peer-state.ts';

/** Given to the peer link. */
export interface PeerSide {
  /** What to say now; the link asks at each heartbeat. */
  state(): PeerState;
  /**
   * Any network brought word of the peer, newer than all before (a slower network brings nothing old).
   * `echoMs`: the monotonic time at which this instance had said what the peer had heard last when it said
   * this; negative infinity for nothing. It tells what is fresh from what lay in a socket during a stall.
   */
  heard(state: PeerState, echoMs: number): void;
  /** The peer asks this instance to take over from it, or to give way to it: an operator wants that. */
  handover(request: HandoverRequest): void;
}

/** Given by the peer link. */
export interface PeerPort {
  /** The monotonic time of the last byte of the peer on any network; negative infinity before the first. */
  readonly heardMs: number;
  /**
   * Since when the process of the peer is evidently dead, monotonic; `null` without such evidence. All
   * connections to it have ended, and since then an address of its was dialled and **refused** the
   * connection (its machine answers that nobody listens), and none accepted one. Silence, a time-out or an
   * unreachable host is no evidence. Both sides dial for this purpose, at once when the last connection ends
   * and again every 100 ms. A process closes its listener only when it ends.
   */
  readonly goneMs: number | null;
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

/** Keeps terms, and what an operator prefers, through restarts. */
export interface TermNotes {
  /** The highest term that is durable here. */
  readonly highest: Term;
  /** Resolves when durable. @throws KomError KOM_STORE_OPEN, KOM_STORE_WRITE where the disk takes nothing */
  raise(term: Term): Promise<void>;
  /** What an operator preferred; `null`: nothing but what the site file says. */
  readonly preferred: Preference | null;
  /** Resolves when durable. @throws KomError as `raise` */
  prefer(preference: Preference): Promise<void>;
}
