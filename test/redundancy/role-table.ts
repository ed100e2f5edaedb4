/** What every event does in every phase: the table of docs/REDUNDANCY.md, made by the code. */
import type { LeaseAnswer } from '../../src/domain/lease.ts';
import { termOf } from '../../src/domain/term.ts';
import { startRole, stepRole } from '../../src/redundancy/role.ts';
import {
  type PeerWord,
  PHASES,
  type Phase,
  type RoleEffect,
  type RoleEvent,
  type RoleSettings,
  type RoleState,
} from '../../src/redundancy/role-state.ts';

const NOW_MS = 100_000;
const NEVER = Number.NEGATIVE_INFINITY;

/** Instance 1 of 2, with a peer link. */
export const SETTINGS: RoleSettings = {
  instance: 1,
  hasPeer: true,
  hasPeerLink: true,
  peerTimeoutMs: 1000,
  peerGoneMs: 150,
  kernelTimeoutMs: 1200,
  startOffsetMs: 200,
  calmMs: 60_000,
  tickMs: 50,
};

export const OWN = termOf(5, { instance: 1, by: 'kernel' });
export const LOWER = termOf(4, { instance: 1, by: 'kernel' });
export const HIGHER = termOf(7, { instance: 1, by: 'kernel' });
const PENDING = termOf(6, { instance: 1, by: 'itself' });

interface Circumstance {
  readonly name: string;
  readonly given?: Partial<RoleState>;
  readonly event: RoleEvent;
}

const WORD: PeerWord = {
  instance: 2,
  role: 'standby',
  ownTerm: LOWER,
  highestTerm: OWN,
  unfit: null,
  isLeaving: false,
  preferred: { instance: 0, setAtUs: 0 },
  hasLease: false,
  kernelAnswers: false,
};

const KERNEL = { hasSession: true, kernelAnsweredMs: NOW_MS - 100 };
const LEASE = { ...KERNEL, leaseTerm: OWN, leaseUntilMs: NOW_MS + 500 };
const TICK: RoleEvent = { kind: 'tick', peerHeardMs: NOW_MS - 100, peerGoneFromMs: null };
const SILENT: RoleEvent = { kind: 'tick', peerHeardMs: NOW_MS - 1000, peerGoneFromMs: null };
const QUIET = { quietFromMs: NOW_MS - 1000 };
const TO_HERE = { to: 1, operator: 'somebody', force: false };
const TO_PEER = { ...TO_HERE, to: 2 };

function answer(change: Partial<LeaseAnswer>): RoleEvent {
  const held: LeaseAnswer = { kind: 'held-by-other', term: HIGHER, holder: 2, durationMs: 1200, reason: '' };
  return { kind: 'answered', answer: { ...held, ...change }, sentMs: NOW_MS - 50 };
}

function said(change: Partial<PeerWord>, echoMs = NOW_MS - 50): RoleEvent {
  return { kind: 'peer-said', word: { ...WORD, ...change }, echoMs };
}

export const CIRCUMSTANCES: readonly Circumstance[] = [
  { name: 'time passes, the peer is heard', event: TICK },
  { name: 'the peer is silent, no Kernel answers', given: QUIET, event: SILENT },
  { name: 'the peer is silent, a Kernel answers', given: { ...QUIET, ...KERNEL }, event: SILENT },
  {
    name: 'the process of the peer is dead, no Kernel answers',
    event: { kind: 'tick', peerHeardMs: NOW_MS - 200, peerGoneFromMs: NOW_MS - 150 },
  },
  {
    name: 'listening is over, nothing was heard, no Kernel answers',
    given: { ...QUIET, listenUntilMs: NOW_MS },
    event: SILENT,
  },
  {
    name: 'the peer has stood by for `peer.timeout`, no Kernel answers either',
    given: { peer: WORD, vacantFromMs: NOW_MS - 1000, listenUntilMs: NOW_MS },
    event: TICK,
  },
  {
    name: 'the lease ran out, the peer is silent',
    given: { ...QUIET, leaseTerm: OWN, leaseUntilMs: NOW_MS - 1 },
    event: SILENT,
  },
  { name: 'the process stood still, or its clock jumped', event: { kind: 'woke' } },
  { name: 'a session with a Kernel begins', event: { kind: 'session', isThere: true } },
  { name: 'the session ends', given: LEASE, event: { kind: 'session', isThere: false } },
  {
    name: 'granted: the term that it has',
    given: KERNEL,
    event: answer({ kind: 'granted', term: OWN, holder: 1 }),
  },
  { name: 'granted: a new term', given: KERNEL, event: answer({ kind: 'granted', holder: 1 }) },
  {
    name: 'granted: a term that it gave up',
    given: { ...KERNEL, releasedTerm: HIGHER },
    event: answer({ kind: 'granted', holder: 1 }),
  },
  { name: 'held by the other, under no lower term', given: KERNEL, event: answer({}) },
  { name: 'held by the other, under a lower term', given: KERNEL, event: answer({ term: LOWER }) },
  {
    name: 'the Kernel has not decided',
    given: KERNEL,
    event: answer({ holder: 0, term: LOWER }),
  },
  { name: 'the Kernel is unable', given: KERNEL, event: answer({ kind: 'unable', holder: 0, term: 0 }) },
  {
    name: 'the peer is active under a higher term',
    event: said({ role: 'active', ownTerm: HIGHER, highestTerm: HIGHER }),
  },
  {
    name: 'the same, and this one has a lease, and the peer has none',
    given: LEASE,
    event: said({ role: 'active', ownTerm: HIGHER, highestTerm: HIGHER }),
  },
  { name: 'the peer is active under a lower term', event: said({ role: 'active' }) },
  { name: 'the peer is suspended', event: said({ role: 'suspended' }) },
  { name: 'the peer stands by', event: said({}) },
  { name: 'the peer said before the stall that it stands by', event: said({}, NOW_MS - 5000) },
  { name: 'the peer starts', event: said({ role: 'starting' }) },
  { name: 'the peer is about to end and stands by', event: said({ isLeaving: true }) },
  {
    name: 'the term that it takes is durable',
    event: { kind: 'persisted', term: PENDING, isDurable: true },
  },
  {
    name: 'the disk refuses the term that it takes',
    event: { kind: 'persisted', term: PENDING, isDurable: false },
  },
  { name: 'another term is durable', event: { kind: 'persisted', term: LOWER, isDurable: true } },
  { name: 'the field stands by', event: { kind: 'stood-down' } },
  {
    name: 'an operator wants this one, a Kernel answers',
    given: KERNEL,
    event: { kind: 'handover', request: TO_HERE, from: 'operator' },
  },
  {
    name: 'an operator wants this one, no Kernel answers, the peer is active',
    given: { peer: { ...WORD, role: 'active' } },
    event: { kind: 'handover', request: TO_HERE, from: 'operator' },
  },
  {
    name: 'an operator wants the other, no Kernel answers',
    event: { kind: 'handover', request: TO_PEER, from: 'operator' },
  },
  {
    name: 'the peer asks this one to take over',
    event: { kind: 'handover', request: TO_HERE, from: 'peer' },
  },
  {
    name: 'the peer asks to take over',
    event: { kind: 'handover', request: TO_PEER, from: 'peer' },
  },
  {
    name: 'an operator prefers an instance',
    event: { kind: 'preferred', preferred: { instance: 2, setAtUs: 9 } },
  },
  { name: 'it is found unfit', event: { kind: 'fitness', unfit: 'no serial device' } },
  { name: 'its process is about to end', event: { kind: 'leave' } },
];

/** An instance in this phase, with nothing going on beside it; the peer was heard just now. */
export function inPhase(phase: Phase, given: Partial<RoleState> = {}): RoleState {
  const preferred = { instance: 0, setAtUs: 0 };
  const { state } = startRole(SETTINGS, { nowMs: NOW_MS - 3000, highestTerm: LOWER, preferred });
  const wasActive = phase === 'active' || phase === 'standing-down' || phase === 'suspended';
  return {
    ...state,
    phase,
    ownTerm: wasActive ? OWN : 0,
    highestTerm: phase === 'taking' ? PENDING : OWN,
    pending: phase === 'taking' ? { term: PENDING, from: 'self', why: 'peer-silent' } : null,
    quietFromMs: NOW_MS - 100,
    tickedMs: NOW_MS - 50,
    wokeMs: phase === 'suspended' ? NOW_MS - 1000 : NOW_MS - 3000,
    listenUntilMs: NOW_MS + 200,
    leaseUntilMs: NEVER,
    ...given,
  };
}

/** One cell: the phase that follows and what is to be done; telling others is left out. */
export function outcome(phase: Phase, { given, event }: Circumstance): string {
  const { state, effects } = stepRole(SETTINGS, inPhase(phase, given), { ...event, nowMs: NOW_MS });
  const deeds = effects.flatMap((effect) => nameOf(effect));
  if (state.phase !== phase) deeds.unshift(`**${state.phase}**`);
  return deeds.length === 0 ? '–' : deeds.join(', ');
}

function nameOf(effect: RoleEffect): string[] {
  switch (effect.kind) {
    case 'tell-peer':
    case 'renew-lease':
      return [];
    case 'isolated':
      return [effect.isIsolated ? 'isolated' : 'not isolated'];
    case 'ask-peer':
      return ['ask the peer'];
    case 'keep-preference':
      return ['keep it'];
    case 'persist':
    case 'activate':
    case 'stand-by':
    case 'suspend':
      return [effect.kind.replace('-', ' ')];
  }
}

/** In Markdown. */
export function roleTable(): string {
  const rows = CIRCUMSTANCES.map((each) => [each.name, ...PHASES.map((phase) => outcome(phase, each))]);
  const lines = [['event', ...PHASES], ['---', ...PHASES.map(() => '---')], ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
