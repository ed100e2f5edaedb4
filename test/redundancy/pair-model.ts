/**
 * Two instances of one process, their peer link and one Kernel, as values: the machines of the product, and
 * around them what may be under way (terms on their way to a disk, messages, lines that are being closed).
 * The clock of instance 1 runs by a sixth slower than that of the Kernel: as much as the margin of a lease
 * allows for.
 */
import type { HandoverRequest, LeaseAnswer, LeaseClaim } from '../../src/domain/lease.ts';
import { NO_TERM, type Term } from '../../src/domain/term.ts';
import { type ArbiterState, startArbiter, stepArbiter } from '../../src/kernel/arbiter.ts';
import { startRole, stepRole } from '../../src/redundancy/role.ts';
import type { PeerWord, RoleSettings, RoleState } from '../../src/redundancy/role-state.ts';

export type Side = 0 | 1;
export const SIDES: readonly Side[] = [0, 1];

export const NEVER = Number.NEGATIVE_INFINITY;
export const KERNEL_STEP_MS = 120;
export const STEPS_MS = [100, 120] as const;
export const LEASE_MS = 600;
export const PEER_TIMEOUT_MS = 300;
export const HOLD_OFF_MS = 1000;
export const CALM_MS = 1000;

export interface Saying {
  readonly word: PeerWord;
  readonly saidMs: number;
  readonly echoMs: number;
  readonly request: HandoverRequest | null;
}

/** A thing that is under way arrives in the round in which it is 0; else it waits for so many rounds more. */
type Delay = number;

export interface Node {
  readonly nowMs: number;
  /** `null`: its process is dead. */
  readonly role: RoleState | null;
  readonly durableTerm: Term;
  readonly persisting: readonly Term[];
  readonly persistDelay: Delay;
  readonly isStandingBy: boolean;
  readonly standByDelay: Delay;
  /** Rounds for which its process stands still. */
  readonly stalled: number;
  readonly stalledFor: number;
  readonly peerHeardMs: number;
  readonly goneFromMs: number | null;
  /** When the peer had said what was heard last, by the peer's clock. */
  readonly heardSaidMs: number;
  readonly hasSession: boolean;
  readonly claims: readonly { readonly claim: LeaseClaim; readonly sentMs: number }[];
  readonly claimDelay: Delay;
  /** Of the last claim that arrived. */
  readonly echoSentMs: number;
  readonly answers: readonly { readonly answer: LeaseAnswer; readonly sentMs: number }[];
  readonly answerDelay: Delay;
  /** On their way from this one to its peer. */
  readonly sayings: readonly Saying[];
  readonly sayingDelay: Delay;
  readonly isCutFromKernel: boolean;
  /** It takes its living peer for dead. */
  readonly isLiedTo: boolean;
}

export interface World {
  readonly nodes: readonly [Node, Node];
  readonly kernel: {
    readonly nowMs: number;
    /** `null`: it is down. */
    readonly arbiter: ArbiterState | null;
    readonly stored: { readonly term: Term; readonly holder: number } | null;
    readonly raising: { readonly term: Term; readonly holder: number } | null;
    readonly raiseDelay: Delay;
  };
  readonly isPeerCut: boolean;
  /** The highest term that the Kernel, instance 1 and instance 2 have minted and made durable. */
  readonly mintedTerms: readonly [Term, Term, Term];
}

/** What a planted defect replaces. */
export interface Product {
  readonly startRole: typeof startRole;
  readonly stepRole: typeof stepRole;
  readonly startArbiter: typeof startArbiter;
  readonly stepArbiter: typeof stepArbiter;
  readonly keepsTerms: boolean;
}

export const PRODUCT: Product = { startRole, stepRole, startArbiter, stepArbiter, keepsTerms: true };

export interface PairOptions {
  /** 0: none. */
  readonly preferred: number;
  readonly product: Product;
}

/** A rule that is broken; the explorer adds how it came to that. */
export class BrokenRule extends Error {}

const SETTINGS = SIDES.map(
  (side): RoleSettings => ({
    instance: side + 1,
    hasPeer: true,
    hasPeerLink: true,
    peerTimeoutMs: PEER_TIMEOUT_MS,
    peerGoneMs: STEPS_MS[side],
    kernelTimeoutMs: LEASE_MS,
    startOffsetMs: 120,
    calmMs: CALM_MS,
    tickMs: STEPS_MS[side],
  }),
) as [RoleSettings, RoleSettings];

export function settingsOf(side: Side): RoleSettings {
  return SETTINGS[side];
}

export const DEAD_NODE: Omit<Node, 'nowMs' | 'durableTerm' | 'isCutFromKernel'> = {
  role: null,
  persisting: [],
  persistDelay: 0,
  isStandingBy: false,
  standByDelay: 0,
  stalled: 0,
  stalledFor: 0,
  peerHeardMs: NEVER,
  goneFromMs: null,
  heardSaidMs: NEVER,
  hasSession: false,
  claims: [],
  claimDelay: 0,
  echoSentMs: NEVER,
  answers: [],
  answerDelay: 0,
  sayings: [],
  sayingDelay: 0,
  isLiedTo: false,
};

/** Both are down, and so is the Kernel; all cables are there. */
export function darkWorld(): World {
  const node = { ...DEAD_NODE, nowMs: 0, durableTerm: NO_TERM, isCutFromKernel: false };
  return {
    nodes: [node, node],
    kernel: { nowMs: 0, arbiter: null, stored: null, raising: null, raiseDelay: 0 },
    isPeerCut: false,
    mintedTerms: [NO_TERM, NO_TERM, NO_TERM],
  };
}

export function other(side: Side): Side {
  return side === 0 ? 1 : 0;
}
