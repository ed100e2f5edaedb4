import { type HoldDown, patience } from '../domain/hold-down.ts';
import type { ActivationState, HandoverRequest, LeaseAnswer, Preference, Role } from '../domain/lease.ts';
import type { Term } from '../domain/term.ts';

/**
 * Where an instance is in its life. `taking`: a term is being made durable, under which it will be active;
 * `standing-down`: it is told `suspended` until nothing more is numbered.
 */
export const PHASES = ['starting', 'standby', 'taking', 'active', 'standing-down', 'suspended'] as const;
export type Phase = (typeof PHASES)[number];

/** Why an instance is in its phase; `kom status` and the audit say it. */
export const REASONS = {
  started: 'it started and listens for another active instance',
  'only-instance': 'no other server runs this process',
  'lease-granted': 'the Kernel granted it the lease',
  'lease-of-other': 'the Kernel says that another instance is to be active',
  'lease-ran-out': 'the lease had run out before its term was durable',
  'kernel-decides': 'a Kernel answers again, and decides',
  'peer-active': 'another instance is active',
  'peer-higher-term': 'another instance is active under a higher term',
  'peer-silent': 'the peer is silent on all networks, and no Kernel answers',
  'peer-dead': 'the process of the peer is dead, and no Kernel answers',
  'peer-left': 'the peer stopped in order',
  'peer-restarted': 'the peer started anew',
  'nobody-active': 'no instance was active, and no Kernel answers',
  operator: 'an operator wanted it',
  leaving: 'its process ends',
  stalled: 'its process stood still, or the clock jumped',
  'lease-renewed': 'the Kernel renewed its lease',
  'peer-stands-by': 'the peer stands by under no higher term',
  'nothing-heard': 'it heard of no other active instance',
} as const;
export type Reason = keyof typeof REASONS;

export interface RoleSettings {
  readonly instance: number;
  /** Another server runs this process too. */
  readonly hasPeer: boolean;
  /** There is a peer link; without one only a Kernel can tell of the other instance. */
  readonly hasPeerLink: boolean;
  /** Silence of the peer on all networks that counts as its end. */
  readonly peerTimeoutMs: number;
  /** How long the evidence that the peer's process is dead has to stand. */
  readonly peerGoneMs: number;
  /** A Kernel whose last answer is older counts as none; the duration of its leases. */
  readonly kernelTimeoutMs: number;
  /** How much longer instance 2 listens at its start than instance 1, and so on; the preferred one 0. */
  readonly startOffsetMs: number;
  /** After so long without a false alarm none is remembered. */
  readonly calmMs: number;
  /** A tick is due this often; what it is late does not count as silence of others. */
  readonly tickMs: number;
}

/** What the peer said last, as far as roles depend on it. */
export interface PeerWord extends ActivationState {
  readonly instance: number;
  readonly hasLease: boolean;
  readonly kernelAnswers: boolean;
}

/** A term that is being made durable. */
export interface PendingTerm {
  readonly term: Term;
  readonly from: 'kernel' | 'self' | 'operator';
  readonly why: Reason;
}

/** A sign of life of the peer ended it, which need not say yet what the peer is. */
export interface EndedSilence {
  readonly fromMs: number;
  readonly toMs: number;
}

/** All times are monotonic milliseconds; negative infinity: never. */
export interface RoleState {
  readonly phase: Phase;
  readonly sinceMs: number;
  readonly why: Reason;
  readonly ownTerm: Term;
  readonly highestTerm: Term;
  readonly releasedTerm: Term;
  readonly pending: PendingTerm | null;
  /** The last term that a Kernel granted, and until when the lease of it holds. */
  readonly leaseTerm: Term;
  readonly leaseUntilMs: number;
  readonly hasSession: boolean;
  readonly kernelAnsweredMs: number;
  /** `null`: it said nothing yet. */
  readonly peer: PeerWord | null;
  /** The peer counts as silent since then: when it was heard last, or when this instance began to listen. */
  readonly quietFromMs: number;
  /** Takeovers from a peer that was silent and yet active. */
  readonly holdDown: HoldDown;
  /** A silence in which one of the two took over, maybe for nothing, and that is just over. */
  readonly silence: EndedSilence | null;
  /** It took over because the peer was silent, and has not heard since what the peer was meanwhile. */
  readonly tookInSilence: boolean;
  /** Since when its process is evidently dead. */
  readonly peerGoneFromMs: number | null;
  /** When it started or woke from a stall. */
  readonly wokeMs: number;
  readonly listenUntilMs: number;
  /** Since when it knows of nobody active, with no Kernel to decide. */
  readonly vacantFromMs: number | null;
  readonly tickedMs: number;
  /** An operator's wish that the Kernel has not answered. */
  readonly wish: HandoverRequest | null;
  readonly wishedMs: number;
  /** Whom to ask to take over when this instance stands by. */
  readonly handTo: HandoverRequest | null;
  readonly isIsolated: boolean;
  /** False: the disk refused a term; what this instance acts under would be forgotten in a restart. */
  readonly isDurable: boolean;
  readonly unfit: string | null;
  readonly isLeaving: boolean;
  readonly preferred: Preference;
}

/** When an event happened, monotonic. */
export interface At {
  readonly nowMs: number;
}

export type RoleEvent =
  | { readonly kind: 'tick'; readonly peerHeardMs: number; readonly peerGoneFromMs: number | null }
  /** The process stood still, or wall and monotonic time moved apart. */
  | { readonly kind: 'woke' }
  | { readonly kind: 'session'; readonly isThere: boolean }
  | { readonly kind: 'answered'; readonly answer: LeaseAnswer; readonly sentMs: number }
  /** `echoMs`: when this instance had said what the peer had heard when it said this. */
  | { readonly kind: 'peer-said'; readonly word: PeerWord; readonly echoMs: number }
  /** `isDurable` false: the disk refused it. */
  | { readonly kind: 'persisted'; readonly term: Term; readonly isDurable: boolean }
  | { readonly kind: 'stood-down' }
  | {
      readonly kind: 'handover';
      readonly request: HandoverRequest;
      readonly from: 'operator' | 'peer';
    }
  | { readonly kind: 'preferred'; readonly preferred: Preference }
  | { readonly kind: 'fitness'; readonly unfit: string | null }
  /** The process is about to end in order. */
  | { readonly kind: 'leave' };

export type RoleEffect =
  /** Answered by `persisted`. */
  | { readonly kind: 'persist'; readonly term: Term }
  | { readonly kind: 'activate' }
  /** Answered by `stood-down`. */
  | { readonly kind: 'stand-by' }
  | { readonly kind: 'suspend' }
  | { readonly kind: 'isolated'; readonly isIsolated: boolean }
  | { readonly kind: 'tell-peer' }
  | { readonly kind: 'renew-lease' }
  | { readonly kind: 'ask-peer'; readonly request: HandoverRequest }
  | { readonly kind: 'keep-preference'; readonly preferred: Preference };

const ROLE_OF: Readonly<Record<Phase, Role>> = {
  starting: 'starting',
  standby: 'standby',
  taking: 'standby',
  active: 'active',
  'standing-down': 'suspended',
  suspended: 'suspended',
};

/** What it tells others. */
export function roleOf(state: RoleState): Role {
  return ROLE_OF[state.phase];
}

export function holdsLease(state: RoleState, nowMs: number): boolean {
  return nowMs < state.leaseUntilMs;
}

/** A Kernel decides: it answered a claim within the time of a lease, and not that it cannot. */
export function kernelAnswers(settings: RoleSettings, state: RoleState, nowMs: number): boolean {
  return state.hasSession && nowMs - state.kernelAnsweredMs < settings.kernelTimeoutMs;
}

export function isPeerSilent(settings: RoleSettings, state: RoleState, nowMs: number): boolean {
  return nowMs - state.quietFromMs >= settings.peerTimeoutMs;
}

/** Silence after which a standby takes over: longer where it was no sign of an end before. */
export function takeoverSilenceMs({ peerTimeoutMs }: RoleSettings, { holdDown }: RoleState): number {
  return peerTimeoutMs * patience(holdDown);
}

export function isPeerGone(settings: RoleSettings, state: RoleState, nowMs: number): boolean {
  return state.peerGoneFromMs !== null && nowMs - state.peerGoneFromMs >= settings.peerGoneMs;
}

/**
 * Active, and nobody can say whether another one is: no lease, and a peer that may be cut off. A dead peer
 * cuts off nobody.
 */
export function isIsolated(settings: RoleSettings, state: RoleState, nowMs: number): boolean {
  if (!settings.hasPeer || state.phase !== 'active' || holdsLease(state, nowMs)) return false;
  if (isPeerGone(settings, state, nowMs)) return false;
  return !settings.hasPeerLink || isPeerSilent(settings, state, nowMs);
}

/** How long it listens from `nowMs` on before it acts as if it were alone. */
export function listeningMs(settings: RoleSettings, state: Pick<RoleState, 'preferred'>): number {
  const { instance, peerTimeoutMs, startOffsetMs } = settings;
  return 3 * peerTimeoutMs + (state.preferred.instance === instance ? 0 : instance * startOffsetMs);
}
