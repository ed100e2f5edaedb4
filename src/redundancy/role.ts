/**
 * The role of an instance: event in, state and effects out. Nothing here waits, reads a clock or draws a
 * number. `docs/REDUNDANCY.md` has the table and the reasons.
 */
import { afterCalm, NO_HOLD_DOWN } from '../domain/hold-down.ts';
import type { LeaseAnswer, Preference } from '../domain/lease.ts';
import { NO_TERM, type Term, termAbove } from '../domain/term.ts';
import {
  type At,
  holdsLease,
  kernelAnswers,
  listeningMs,
  type PeerWord,
  type PendingTerm,
  type Reason,
  type RoleEffect,
  type RoleEvent,
  type RoleSettings,
  type RoleState,
} from './role-state.ts';
import {
  activate,
  conclude,
  enter,
  giveUpTaking,
  noteFalseAlarm,
  noteHeard,
  sawTerm,
  standDown,
  type Turn,
  take,
} from './turn.ts';
import { vacancyOf } from './vacancy.ts';

const NEVER = Number.NEGATIVE_INFINITY;

export interface Step {
  readonly state: RoleState;
  readonly effects: readonly RoleEffect[];
}

/** `highestTerm` is the highest that is durable here: a new run acts under none of them. */
export function startRole(
  settings: RoleSettings,
  { nowMs, highestTerm, preferred }: { nowMs: number; highestTerm: Term; preferred: Preference },
): Step {
  const state: RoleState = {
    phase: settings.hasPeer ? 'starting' : 'active',
    sinceMs: nowMs,
    why: settings.hasPeer ? 'started' : 'only-instance',
    ownTerm: NO_TERM,
    highestTerm,
    releasedTerm: highestTerm,
    pending: null,
    leaseTerm: NO_TERM,
    leaseUntilMs: NEVER,
    hasSession: false,
    kernelAnsweredMs: NEVER,
    peer: null,
    quietFromMs: nowMs,
    holdDown: NO_HOLD_DOWN,
    silence: null,
    tookInSilence: false,
    peerGoneFromMs: null,
    wokeMs: nowMs,
    listenUntilMs: nowMs + listeningMs(settings, { preferred }),
    vacantFromMs: null,
    tickedMs: nowMs,
    wish: null,
    wishedMs: NEVER,
    handTo: null,
    isIsolated: false,
    isDurable: true,
    unfit: null,
    isLeaving: false,
    preferred,
  };
  return { state, effects: settings.hasPeer ? [] : [{ kind: 'activate' }] };
}

export function stepRole(settings: RoleSettings, before: RoleState, event: RoleEvent & At): Step {
  const turn: Turn = { settings, state: { ...before }, effects: [], nowMs: event.nowMs };
  react(turn, event);
  conclude(turn, before);
  return { state: turn.state, effects: turn.effects };
}

function react(turn: Turn, event: RoleEvent): void {
  switch (event.kind) {
    case 'tick':
      tick(turn, event);
      break;
    case 'woke':
      woke(turn);
      break;
    case 'session':
      turn.state.hasSession = event.isThere;
      turn.state.kernelAnsweredMs = NEVER;
      if (event.isThere) turn.effects.push({ kind: 'renew-lease' });
      break;
    case 'answered':
      answered(turn, event.answer, event.sentMs);
      break;
    case 'peer-said':
      peerSaid(turn, event.word, event.echoMs);
      break;
    case 'persisted':
      persisted(turn, event);
      break;
    case 'stood-down':
      stoodDown(turn);
      break;
    case 'handover':
      handover(turn, event);
      break;
    case 'preferred':
      prefer(turn, event.preferred);
      break;
    case 'fitness':
      turn.state.unfit = event.unfit;
      break;
    case 'leave':
      leave(turn);
      break;
  }
}

function prefer({ state, effects }: Turn, preferred: Preference): void {
  state.preferred = preferred;
  effects.push({ kind: 'keep-preference', preferred });
}

function tick(turn: Turn, { peerHeardMs, peerGoneFromMs }: RoleEvent & { kind: 'tick' }): void {
  const { settings, state, nowMs } = turn;
  // While this process did not run it heard nothing, which says nothing of the peer.
  const lateMs = Math.max(0, nowMs - state.tickedMs - 2 * settings.tickMs);
  state.tickedMs = nowMs;
  state.quietFromMs = Math.min(state.quietFromMs + lateMs, nowMs);
  noteHeard(turn, peerHeardMs);
  state.peerGoneFromMs = peerGoneFromMs;
  state.holdDown = afterCalm(state.holdDown, { nowMs, calmMs: settings.calmMs });
  if (state.phase === 'suspended') resumeUnheard(turn);
  else considerTaking(turn);
}

/** A vacancy that has lasted long enough is filled. */
function considerTaking(turn: Turn): void {
  const { settings, state, nowMs } = turn;
  if (state.phase !== 'starting' && state.phase !== 'standby') return;
  const vacancy = vacancyOf(settings, state, nowMs);
  if (vacancy === null) {
    state.vacantFromMs = null;
    return;
  }
  state.vacantFromMs ??= nowMs;
  let fromMs = vacancy.waitMs === 0 ? nowMs : state.vacantFromMs;
  if (state.phase === 'starting') {
    // Where the other's machine says that nobody listens there, little is left to listen for.
    const earlierMs = vacancy.why === 'peer-dead' ? 2 * settings.peerTimeoutMs : 0;
    fromMs = state.listenUntilMs - earlierMs;
  }
  if (nowMs >= fromMs + vacancy.waitMs) takeOwn(turn, 'self', vacancy.why);
}

function takeOwn(turn: Turn, from: PendingTerm['from'], why: Reason): void {
  const { instance } = turn.settings;
  turn.state.tookInSilence = why === 'peer-silent';
  take(turn, { term: termAbove(turn.state.highestTerm, { instance, by: 'itself' }), from, why });
}

function woke(turn: Turn): void {
  const { settings, state, effects, nowMs } = turn;
  if (!settings.hasPeer) return;
  state.wokeMs = nowMs;
  state.quietFromMs = nowMs;
  state.tickedMs = nowMs;
  state.peerGoneFromMs = null;
  state.vacantFromMs = null;
  state.listenUntilMs = nowMs + listeningMs(settings, state);
  if (state.phase === 'taking') giveUpTaking(turn, 'stalled');
  if (state.phase !== 'active') return;
  state.listenUntilMs = nowMs + 3 * settings.peerTimeoutMs;
  enter(turn, 'suspended', 'stalled');
  effects.push({ kind: 'suspend' }, { kind: 'tell-peer' }, { kind: 'renew-lease' });
}

/** A hole is worse than an overlap: who hears nothing goes on. */
function resumeUnheard(turn: Turn): void {
  const { settings, state, nowMs } = turn;
  if (nowMs < state.listenUntilMs || kernelAnswers(settings, state, nowMs)) return;
  if (state.pending === null) activate(turn, 'nothing-heard');
}

function answered(turn: Turn, answer: LeaseAnswer, sentMs: number): void {
  const { settings, state, nowMs } = turn;
  if (!state.hasSession) return;
  if (state.wish !== null && sentMs >= state.wishedMs) state.wish = null;
  if (answer.kind === 'unable') {
    state.kernelAnsweredMs = NEVER;
    return;
  }
  state.kernelAnsweredMs = nowMs;
  sawTerm(turn, answer.term);
  if (answer.kind === 'granted') granted(turn, answer.term, sentMs + answer.durationMs);
  else if (settings.hasPeer) heldByOther(turn, answer);
}

function granted(turn: Turn, term: Term, untilMs: number): void {
  const { state, nowMs } = turn;
  if (state.isLeaving || term <= state.releasedTerm || state.phase === 'standing-down') return;
  state.leaseTerm = term;
  state.leaseUntilMs = untilMs;
  if (nowMs >= untilMs) return;
  if (state.phase === 'active' || state.phase === 'suspended') {
    // Its own term goes on, or, where a Kernel knows of a higher one than that, becomes one above both.
    if (term > state.ownTerm) takeOnce(turn, term);
    else if (state.phase === 'suspended') activate(turn, 'lease-renewed');
  } else takeOnce(turn, term);
}

function takeOnce(turn: Turn, term: Term): void {
  if (turn.state.pending?.term !== term) take(turn, { term, from: 'kernel', why: 'lease-granted' });
}

function heldByOther(turn: Turn, { term, holder, reason }: LeaseAnswer): void {
  const { settings, state } = turn;
  const isOther = holder !== 0 && holder !== settings.instance;
  if (state.phase === 'taking') giveUpTaking(turn, isOther ? 'lease-of-other' : 'kernel-decides');
  if (!isOther) return;
  const why = reason === 'switch' ? 'operator' : 'lease-of-other';
  if (state.phase === 'starting') enter(turn, 'standby', why);
  if (state.phase === 'standby') {
    // Whatever was granted before was not acted on.
    state.leaseUntilMs = NEVER;
    state.releasedTerm = Math.max(state.releasedTerm, state.leaseTerm);
  } else if (state.phase !== 'standing-down' && term >= state.ownTerm) standDown(turn, why);
}

function peerSaid(turn: Turn, word: PeerWord, echoMs: number): void {
  const { state, nowMs } = turn;
  noteHeard(turn, nowMs);
  noteFalseAlarm(turn, word);
  state.peer = word;
  state.peerGoneFromMs = null;
  sawTerm(turn, word.highestTerm);
  sawTerm(turn, word.ownTerm);
  if (word.preferred.setAtUs > state.preferred.setAtUs) prefer(turn, word.preferred);
  const isFresh = echoMs >= state.wokeMs;
  if (word.role === 'active') metActive(turn, word, isFresh);
  else if (word.role === 'suspended') {
    if (state.phase === 'starting') enter(turn, 'standby', 'peer-active');
  } else if (state.phase === 'suspended') {
    const isBehind = word.highestTerm <= state.ownTerm;
    if (isFresh && isBehind && state.pending === null) activate(turn, 'peer-stands-by');
  } else considerTaking(turn);
}

function metActive(turn: Turn, word: PeerWord, isFresh: boolean): void {
  const { state, nowMs } = turn;
  if (state.phase === 'starting') enter(turn, 'standby', 'peer-active');
  else if (state.phase === 'active' || state.phase === 'suspended') contest(turn, word, isFresh);
  else if (state.phase === 'taking') {
    const isBehind = word.ownTerm >= (state.pending?.term ?? NO_TERM);
    // A Kernel that grants this one a lease will raise its term above that of an active without one.
    const isGranted = holdsLease(state, nowMs) && !word.hasLease;
    if ((isBehind || state.pending?.from === 'self') && !isGranted) giveUpTaking(turn, 'peer-active');
  } else state.vacantFromMs = null;
}

/** Two active ones: the lower term stands down; one with a lease holds on until its Kernel raises that. */
function contest(turn: Turn, word: PeerWord, isFresh: boolean): void {
  const { settings, state, effects, nowMs } = turn;
  const isOfLower = word.ownTerm === state.ownTerm && word.instance < settings.instance;
  if (word.ownTerm > state.ownTerm || isOfLower) {
    if (holdsLease(state, nowMs) && !word.hasLease) effects.push({ kind: 'renew-lease' });
    else standDown(turn, 'peer-higher-term');
    return;
  }
  effects.push({ kind: 'tell-peer' });
  const canResume = state.phase === 'suspended' && isFresh && state.pending === null;
  if (canResume) activate(turn, 'peer-stands-by');
}

function persisted(turn: Turn, { term, isDurable }: RoleEvent & { kind: 'persisted' }): void {
  const { settings, state, nowMs } = turn;
  if (term === state.highestTerm || !isDurable) state.isDurable = isDurable;
  const { pending } = state;
  if (pending === null || pending.term !== term) return;
  state.pending = null;
  if (state.phase === 'active') {
    state.ownTerm = term;
  } else if (state.phase === 'suspended') {
    state.ownTerm = term;
    if (holdsLease(state, nowMs)) activate(turn, 'lease-renewed');
  } else if (pending.from === 'kernel' && !holdsLease(state, nowMs)) {
    giveUpTaking(turn, 'lease-ran-out');
  } else {
    state.ownTerm = term;
    activate(turn, settings.hasPeer ? pending.why : 'only-instance');
  }
}

function stoodDown(turn: Turn): void {
  const { settings, state, effects, nowMs } = turn;
  if (state.phase !== 'standing-down') return;
  state.releasedTerm = Math.max(state.releasedTerm, state.ownTerm, state.leaseTerm);
  enter(turn, 'standby', state.why);
  if (state.handTo === null) return;
  effects.push({ kind: 'tell-peer' }, { kind: 'ask-peer', request: state.handTo });
  state.handTo = null;
  // The one that was asked to take over goes first, however slow its disk is.
  state.vacantFromMs = nowMs + 3 * settings.peerTimeoutMs;
}

function handover(turn: Turn, { request, from }: RoleEvent & { kind: 'handover' }): void {
  const { settings, state, effects, nowMs } = turn;
  const isToMe = request.to === settings.instance;
  if (kernelAnswers(settings, state, nowMs)) {
    state.wish = request;
    state.wishedMs = nowMs;
    return;
  }
  if (state.phase === 'active' || state.phase === 'suspended') {
    if (isToMe) return;
    state.handTo = request;
    standDown(turn, 'operator');
    return;
  }
  if (!isToMe || state.isLeaving || (state.phase !== 'standby' && state.phase !== 'starting')) return;
  const isPeerActive = state.peer?.role === 'active' && vacancyOf(settings, state, nowMs) === null;
  // An active peer gives way first, and asks back, unless it must not be waited for.
  if (from === 'operator' && isPeerActive && !request.force) effects.push({ kind: 'ask-peer', request });
  else takeOwn(turn, 'operator', 'operator');
}

function leave(turn: Turn): void {
  const { state } = turn;
  state.isLeaving = true;
  state.wish = null;
  if (state.phase === 'active' || state.phase === 'suspended') standDown(turn, 'leaving');
  else if (state.phase === 'starting') enter(turn, 'standby', 'leaving');
  else if (state.phase === 'taking') giveUpTaking(turn, 'leaving');
}
