import type { Term } from '../domain/term.ts';
import {
  holdsLease,
  isIsolated,
  isPeerGone,
  kernelAnswers,
  type PendingTerm,
  type Phase,
  type Reason,
  type RoleEffect,
  type RoleSettings,
  type RoleState,
  roleOf,
} from './role-state.ts';

export type Draft = { -readonly [Key in keyof RoleState]: RoleState[Key] };

/** One event at one state machine: what it has become so far, and what is to be done. */
export interface Turn {
  readonly settings: RoleSettings;
  readonly state: Draft;
  readonly effects: RoleEffect[];
  readonly nowMs: number;
}

export function enter(turn: Turn, phase: Phase, why: Reason): void {
  turn.state.phase = phase;
  turn.state.why = why;
  turn.state.sinceMs = turn.nowMs;
  turn.state.vacantFromMs = null;
}

export function sawTerm({ state }: Turn, term: Term): void {
  if (term > state.highestTerm) state.highestTerm = term;
}

/** Makes a term durable under which this instance is to be active; it acts when that is done. */
export function take(turn: Turn, pending: PendingTerm): void {
  const { state, effects } = turn;
  state.pending = pending;
  sawTerm(turn, pending.term);
  if (state.phase === 'starting' || state.phase === 'standby') enter(turn, 'taking', pending.why);
  effects.push({ kind: 'persist', term: pending.term });
}

/** A term that was to be taken is not. */
export function giveUpTaking(turn: Turn, why: Reason): void {
  turn.state.pending = null;
  enter(turn, 'standby', why);
}

export function activate(turn: Turn, why: Reason): void {
  enter(turn, 'active', why);
  turn.effects.push({ kind: 'activate' });
}

/** From here on nothing is observed; `stood-down` says when nothing more is numbered. */
export function standDown(turn: Turn, why: Reason): void {
  const { state, effects } = turn;
  state.pending = null;
  state.leaseUntilMs = Number.NEGATIVE_INFINITY;
  enter(turn, 'standing-down', why);
  effects.push({ kind: 'stand-by' });
  // Other instances' higher term must be known to a next run of this one.
  effects.push({ kind: 'persist', term: state.highestTerm });
}

/** What follows from any change: lines with one client, and telling it. */
export function conclude(turn: Turn, before: RoleState): void {
  const { settings, state, effects, nowMs } = turn;
  const isNow = isIsolated(settings, state, nowMs);
  if (isNow !== before.isIsolated) {
    state.isIsolated = isNow;
    // Before lines are activated: one that is to be released is not opened first.
    effects.unshift({ kind: 'isolated', isIsolated: isNow });
  }
  const isTold = effects.some(({ kind }) => kind === 'tell-peer');
  if (settings.hasPeerLink && !isTold && peerSees(turn, before, before.tickedMs) !== peerSees(turn, state, nowMs)) {
    effects.push({ kind: 'tell-peer' });
  }
  const isRenewed = effects.some(({ kind }) => kind === 'renew-lease');
  if (state.hasSession && !isRenewed && kernelSees(turn, before, before.tickedMs) !== kernelSees(turn, state, nowMs)) {
    effects.push({ kind: 'renew-lease' });
  }
}

function both(state: RoleState): unknown[] {
  const { ownTerm, highestTerm, unfit, isLeaving, preferred } = state;
  return [roleOf(state), ownTerm, highestTerm, unfit, isLeaving, preferred.instance, preferred.setAtUs];
}

function peerSees({ settings }: Turn, state: RoleState, nowMs: number): string {
  return JSON.stringify([...both(state), holdsLease(state, nowMs), kernelAnswers(settings, state, nowMs)]);
}

function kernelSees({ settings }: Turn, state: RoleState, nowMs: number): string {
  const { releasedTerm, wish } = state;
  return JSON.stringify([...both(state), releasedTerm, wish, isPeerGone(settings, state, nowMs)]);
}
