import { withFalseAlarm } from '../domain/hold-down.ts';
import type { Term } from '../domain/term.ts';
import {
  holdsLease,
  isIsolated,
  isPeerGone,
  kernelAnswers,
  type PeerWord,
  type PendingTerm,
  type Phase,
  type Reason,
  type RoleEffect,
  type RoleSettings,
  type RoleState,
  takeoverSilenceMs,
} from './role-state.ts';

/** A silence that lasts three times as long as the one that was waited for was worth a takeover. */
const FALSE_ALARM_MAX = 3;

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

/** The peer was heard at a moment: over whatever connection, whatever it said. */
export function noteHeard({ settings, state, nowMs }: Turn, heardMs: number): void {
  const { quietFromMs, silence } = state;
  const couldBeTwo = state.phase === 'active' || state.tookInSilence;
  if (couldBeTwo && heardMs - quietFromMs >= settings.peerTimeoutMs) {
    state.silence = { fromMs: quietFromMs, toMs: heardMs };
  } else if (silence !== null && nowMs - silence.toMs >= settings.peerTimeoutMs) {
    state.silence = null;
    state.tookInSilence = false;
  }
  state.quietFromMs = Math.max(quietFromMs, heardMs);
}

/**
 * The peer speaks again soon after a silence, and was active all the time: one took over for nothing, this
 * one or the peer. A link that is whole again brings first what it held up, so what the peer says for the
 * time of a silence counts. To be told before anything else of what it says.
 */
export function noteFalseAlarm({ settings, state, nowMs }: Turn, word: PeerWord): void {
  const { silence, tookInSilence } = state;
  if (silence === null) return;
  const { fromMs, toMs } = silence;
  const isSoon = toMs - fromMs < FALSE_ALARM_MAX * takeoverSilenceMs(settings, state);
  const areBothActive = state.phase === 'active' && word.role === 'active';
  const wasAlive = tookInSilence && (word.role === 'active' || word.role === 'suspended');
  if (isSoon && !areBothActive && !wasAlive) return;
  state.silence = null;
  state.tookInSilence = false;
  if (isSoon) state.holdDown = withFalseAlarm(state.holdDown, nowMs);
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
  if (settings.hasPeerLink && !isTold && !peerSeesSame(turn, before)) effects.push({ kind: 'tell-peer' });
  const isRenewed = effects.some(({ kind }) => kind === 'renew-lease');
  if (state.hasSession && !isRenewed && !kernelSeesSame(turn, before)) effects.push({ kind: 'renew-lease' });
}

/** What an instance says of itself to others, but for what passes with time. */
function saysSame(left: RoleState, right: RoleState): boolean {
  return (
    left.phase === right.phase &&
    left.ownTerm === right.ownTerm &&
    left.highestTerm === right.highestTerm &&
    left.unfit === right.unfit &&
    left.isLeaving === right.isLeaving &&
    left.preferred === right.preferred
  );
}

function peerSeesSame({ settings, state, nowMs }: Turn, before: RoleState): boolean {
  const beforeMs = before.tickedMs;
  return (
    saysSame(before, state) &&
    holdsLease(before, beforeMs) === holdsLease(state, nowMs) &&
    kernelAnswers(settings, before, beforeMs) === kernelAnswers(settings, state, nowMs)
  );
}

function kernelSeesSame({ settings, state, nowMs }: Turn, before: RoleState): boolean {
  return (
    saysSame(before, state) &&
    before.releasedTerm === state.releasedTerm &&
    before.wish === state.wish &&
    isPeerGone(settings, before, before.tickedMs) === isPeerGone(settings, state, nowMs)
  );
}
