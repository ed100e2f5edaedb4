/**
 * Which instance of a process is to be active: one arbiter for each process of a site, in the hot Kernel.
 * Event in, state and decisions out; nothing here waits or reads a clock. `docs/REDUNDANCY.md` has the
 * reasons.
 */
import { afterCalm, type HoldDown, NO_HOLD_DOWN, patience, withFalseAlarm } from '../domain/hold-down.ts';
import type { HandoverRequest, LeaseAnswer, LeaseClaim, Preference } from '../domain/lease.ts';
import { NO_TERM, type Term, termAbove } from '../domain/term.ts';
import { type ListenedTime, listenedMs, NEVER_HEARD, stillMs } from './listened-time.ts';

/** How much longer than it said a Kernel takes a lease for valid, for clocks that run at different rates. */
const MARGIN_SHARE = 0.2;
/** What an instance may ask for. */
const LEASE_MS_MIN = 500;
const LEASE_MS_MAX = 60_000;
/** Of a Kernel that just started, before anybody asked. */
const LEASE_MS_DEFAULT = 1200;
/** A holder that comes again within so many times its lease had not been gone. */
const FALSE_ALARM_LEASES = 2;
/** Connections that were steady for so long flap no more. */
const CALM_MS = 60_000;
/** Instances claim three times in a lease, or more often; a Kernel that hears none in half of it is deaf. */
const DEAF_SHARE = 0.5;
/** After a refusal the archive is asked again. */
const RAISE_RETRY_MS = 1000;

/** An instance with a control connection. */
interface Seat {
  readonly instance: number;
  /** Since when it is connected and fit. */
  readonly fitFromMs: number | null;
  readonly claim: LeaseClaim | null;
  /** Later by the time in which nobody was heard since. */
  readonly claimedMs: number;
  readonly told: LeaseAnswer | null;
}

interface Grant {
  readonly term: Term;
  readonly holder: number;
}

/** Times are monotonic milliseconds of the Kernel. */
export interface ArbiterState {
  readonly listened: ListenedTime;
  /** In the order in which they connected; one for each instance. */
  readonly seats: readonly Seat[];
  /** The last term that the archive has, and for whom it was minted; holder 0: nobody. */
  readonly minted: Grant;
  /**
   * What was granted last, maybe by an earlier run, and until when somebody may act under it; later by the
   * time in which nobody was heard since.
   */
  readonly lease: Grant & { readonly untilMs: number };
  readonly startedMs: number;
  /** Until then a lease of an earlier run may hold, whoever has it. */
  readonly guardUntilMs: number;
  readonly highestTerm: Term;
  readonly raising: (Grant & { readonly fromMs: number }) | null;
  /** The archive refused a term; asked again then. */
  readonly retryMs: number | null;
  readonly choice: HandoverRequest | null;
  /** Whose lease ran out last, and went to another one then. */
  readonly ranOut: { readonly instance: number; readonly atMs: number } | null;
  /** Holders whose lease ran out though they lived. */
  readonly holdDown: HoldDown;
  readonly calmMs: number;
}

interface At {
  readonly nowMs: number;
}

export type ArbiterEvent =
  | { readonly kind: 'connected'; readonly instance: number }
  | { readonly kind: 'disconnected'; readonly instance: number }
  /** Of a connected instance, with terms that are within limits. */
  | { readonly kind: 'claimed'; readonly instance: number; readonly claim: LeaseClaim }
  /** Another Kernel granted this one, as it turns out. */
  | { readonly kind: 'heard'; readonly term: Term }
  /** The archive has the term, or refused it. */
  | { readonly kind: 'raised'; readonly term: Term }
  | { readonly kind: 'raise-failed'; readonly term: Term }
  /** An operator's switch; `choiceRefusal` says whether it should be. */
  | { readonly kind: 'chosen'; readonly request: HandoverRequest }
  /** Due every 50 to 100 ms. */
  | { readonly kind: 'tick' };

export type ArbiterDecision =
  /** To be sent at once, under the echo of the last claim of that instance. */
  | { readonly kind: 'answer'; readonly instance: number; readonly answer: LeaseAnswer }
  /** To be made durable in the archive; answered by `raised` or `raise-failed`. */
  | { readonly kind: 'raise'; readonly term: Term; readonly holder: number };

export interface Ruling {
  readonly state: ArbiterState;
  readonly decisions: readonly ArbiterDecision[];
}

function leaseMsOf({ leaseMs }: LeaseClaim): number {
  return Math.min(LEASE_MS_MAX, Math.max(LEASE_MS_MIN, leaseMs));
}

function withMargin(leaseMs: number): number {
  return leaseMs * (1 + MARGIN_SHARE);
}

/** `stored` is what the archive has. A run of the Kernel before this one may have granted until now. */
export function startArbiter(stored: Grant | null, nowMs: number, calmMs = CALM_MS): ArbiterState {
  const untilMs = nowMs + withMargin(LEASE_MS_DEFAULT);
  const minted = { term: stored?.term ?? NO_TERM, holder: stored?.holder ?? 0 };
  return {
    listened: NEVER_HEARD,
    seats: [],
    minted,
    lease: { ...minted, untilMs },
    startedMs: nowMs,
    guardUntilMs: untilMs,
    highestTerm: minted.term,
    raising: null,
    retryMs: null,
    choice: null,
    ranOut: null,
    holdDown: NO_HOLD_DOWN,
    calmMs,
  };
}

export function stepArbiter(before: ArbiterState, event: ArbiterEvent & At): Ruling {
  const { nowMs } = event;
  const decisions: ArbiterDecision[] = [];
  let state = note(before, event);
  const { wanted, reason } = pick(state, nowMs);
  if (needsTerm(state, wanted, nowMs)) {
    const term = termAbove(state.highestTerm, { instance: wanted, by: 'kernel' });
    const choice = state.choice !== null && state.choice.to !== wanted ? null : state.choice;
    state = { ...state, choice, highestTerm: term, raising: { term, holder: wanted, fromMs: nowMs } };
    decisions.push({ kind: 'raise', term, holder: wanted });
  }
  const seats = state.seats.map((seat) => {
    const { claim } = seat;
    if (claim === null) return seat;
    const answer = answerTo(state, { seat, claim, wanted, reason, nowMs });
    const isAsked = event.kind === 'claimed' && event.instance === seat.instance;
    if (!isAsked && isSame(answer, seat.told)) return seat;
    decisions.push({ kind: 'answer', instance: seat.instance, answer });
    if (answer.kind === 'granted') {
      const { term, holder, durationMs } = answer;
      const ranOut = ranOutFor(state, seat, nowMs) ?? state.ranOut;
      state = { ...state, ranOut, lease: { term, holder, untilMs: nowMs + withMargin(durationMs) } };
    }
    return { ...seat, told: answer };
  });
  return { state: { ...state, seats }, decisions };
}

/** Why an operator's switch to this instance should not be; `null`: nothing speaks against it. */
export function choiceRefusal(state: ArbiterState, instance: number): string | null {
  const claim = state.seats.find((seat) => seat.instance === instance)?.claim ?? null;
  if (claim === null) return `instance ${instance} is not connected`;
  if (claim.isLeaving) return `instance ${instance} is about to end`;
  return claim.unfit === null ? null : `instance ${instance} is unfit: ${claim.unfit}`;
}

/** What the event says, before anything is decided. */
function note(state: ArbiterState, event: ArbiterEvent & At): ArbiterState {
  const { nowMs } = event;
  switch (event.kind) {
    case 'connected': {
      const seat = { instance: event.instance, fitFromMs: null, claim: null, claimedMs: 0, told: null };
      return { ...state, seats: [...others(state, event.instance), seat] };
    }
    case 'disconnected':
      return { ...state, seats: others(state, event.instance) };
    case 'claimed':
      return noteClaim(state, event);
    case 'heard':
      return { ...state, highestTerm: Math.max(state.highestTerm, event.term) };
    case 'raised': {
      const { raising } = state;
      if (raising?.term !== event.term) return state;
      const minted = { term: raising.term, holder: raising.holder };
      return { ...state, minted, raising: null, retryMs: null };
    }
    case 'raise-failed':
      if (state.raising?.term !== event.term) return state;
      return { ...state, raising: null, retryMs: nowMs + RAISE_RETRY_MS };
    case 'chosen':
      return { ...state, choice: event.request };
    case 'tick':
      return { ...state, holdDown: afterCalm(state.holdDown, { nowMs, calmMs: state.calmMs }) };
  }
}

function others(state: ArbiterState, instance: number): Seat[] {
  return state.seats.filter((seat) => seat.instance !== instance);
}

function noteClaim(
  state: ArbiterState,
  { instance, claim, nowMs }: ArbiterEvent & At & { kind: 'claimed' },
): ArbiterState {
  const deafMs = stillMs(state.listened, nowMs);
  const listened = { heardMs: nowMs, allowanceMs: leaseMsOf(claim) * DEAF_SHARE };
  const lease = { ...state.lease, untilMs: state.lease.untilMs + deafMs };
  const seats = state.seats.map((seat) => {
    if (seat.instance !== instance) return { ...seat, claimedMs: seat.claimedMs + deafMs };
    const fitFromMs = claim.unfit === null ? (seat.fitFromMs ?? nowMs) : null;
    return { ...seat, claim, claimedMs: nowMs, fitFromMs };
  });
  const highestTerm = Math.max(state.highestTerm, claim.highestTerm, claim.ownTerm);
  // An earlier run may have granted leases as long as those that are asked for.
  const guardUntilMs = Math.max(state.guardUntilMs, state.startedMs + withMargin(leaseMsOf(claim)));
  const returned = noteReturn(state, { instance, claim, nowMs });
  const next = { ...returned, listened, lease, seats, highestTerm, guardUntilMs };
  const { wish } = claim;
  if (wish === null || (!wish.force && choiceRefusal(next, wish.to) !== null)) return next;
  return { ...next, choice: wish };
}

/** Whose lease ran out, where another one gets it now; `null`: it was given up, or nobody had it. */
function ranOutFor(state: ArbiterState, { instance, claim }: Seat, atMs: number): ArbiterState['ranOut'] {
  const { lease } = state;
  if (lease.holder === 0 || lease.holder === instance || claim?.peerGone === true) return null;
  const holder = seatOf(state, lease.holder);
  if (holder !== undefined && isReleased(holder, lease.term)) return null;
  return { instance: lease.holder, atMs };
}

/** A holder that comes again soon after its lease had run out, and had not ended: only its way flaps. */
function noteReturn(
  state: ArbiterState,
  { instance, claim, nowMs }: { instance: number; claim: LeaseClaim; nowMs: number },
): ArbiterState {
  const { ranOut, holdDown } = state;
  if (ranOut?.instance !== instance) return state;
  const isSoon = nowMs - ranOut.atMs < FALSE_ALARM_LEASES * patience(holdDown) * leaseMsOf(claim);
  const isFalse = isSoon && claim.role !== 'starting';
  return { ...state, ranOut: null, holdDown: isFalse ? withFalseAlarm(holdDown, nowMs) : holdDown };
}

function seatOf(state: ArbiterState, instance: number): Seat | undefined {
  return state.seats.find((seat) => seat.instance === instance);
}

/** Nobody but `instance` can act under a lease any more. */
function isFreeFor(state: ArbiterState, instance: number, nowMs: number): boolean {
  const { lease } = state;
  const seat = seatOf(state, instance);
  if (nowMs < state.guardUntilMs) return isActiveHolder(state, seat);
  const runMs = listenedMs(state.listened, nowMs);
  if (instance === lease.holder || runMs >= lease.untilMs + heldDownMs(state, seat)) return true;
  const holder = seatOf(state, lease.holder);
  if (holder !== undefined) return isReleased(holder, lease.term);
  // Both ends of its connections are closed, and its machine says that nobody listens there: it is dead.
  return seat?.claim?.peerGone === true;
}

/** How much longer than its lease a holder is waited for whose way has flapped; operators do not wait. */
function heldDownMs({ holdDown, choice }: ArbiterState, seat: Seat | undefined): number {
  if (seat === undefined || seat.claim === null || choice?.to === seat.instance) return 0;
  return (patience(holdDown) - 1) * withMargin(leaseMsOf(seat.claim));
}

/** A Kernel that just started goes on with the holder that it knows, if that one acts and knows no later. */
function isActiveHolder({ lease, highestTerm }: ArbiterState, seat: Seat | undefined): boolean {
  if (seat === undefined || seat.instance !== lease.holder || isReleased(seat, lease.term)) return false;
  return activeTerm(seat) >= Math.max(lease.term, highestTerm);
}

function isReleased({ claim }: Seat, term: Term): boolean {
  return claim !== null && claim.releasedTerm >= term;
}

/**
 * The operator's choice, else the preferred one, else the holder, else who is nearest to being active.
 * `wanted` 0: nobody is there.
 */
function pick(state: ArbiterState, nowMs: number): { wanted: number; reason: string } {
  const runMs = listenedMs(state.listened, nowMs);
  const seats = state.seats.filter((seat) => isThere(seat, runMs));
  const chosen = seats.find(({ instance }) => instance === state.choice?.to);
  if (chosen !== undefined) return { wanted: chosen.instance, reason: 'switch' };
  const { preferred, holdOffMs } = preferenceOf(seats);
  const first = seats.find(({ instance }) => instance === preferred.instance);
  const isSteady = first !== undefined && first.fitFromMs !== null && nowMs - first.fitFromMs >= holdOffMs;
  if (first !== undefined && isSteady) return { wanted: first.instance, reason: 'preferred' };
  const { term, holder } = state.raising ?? state.minted;
  const held = seats.find((seat) => seat.instance === holder && !isReleased(seat, term));
  if (held !== undefined && !isSucceeded(seats, held, term)) {
    return { wanted: held.instance, reason: 'holder' };
  }
  const [nearest] = seats.toSorted((left, right) => compareNearness(left, right, preferred.instance));
  return { wanted: nearest?.instance ?? 0, reason: 'first' };
}

/**
 * The holder of a term does not act, and another one acts under a later one: the instances decided so while
 * no Kernel answered, and the role does not move back. Who is to have the role is asked of those that are
 * there: one that is gone keeps it from nobody. Whether the holder goes on under its old term is asked of all
 * that are connected: who fell silent, or is about to end, may act under the later one still.
 */
function isSucceeded(seats: readonly Seat[], holder: Seat, term: Term): boolean {
  return activeTerm(holder) < 0 && seats.some((seat) => activeTerm(seat) > term);
}

/** It can be active; one that is silent for longer than its lease is gone, connected or not. */
function isThere({ claim, claimedMs }: Seat, runMs: number): boolean {
  return claim !== null && !claim.isLeaving && runMs - claimedMs < withMargin(leaseMsOf(claim));
}

/** The latest that an operator said; of equal ones that of the lower instance. */
function preferenceOf(seats: readonly Seat[]): { preferred: Preference; holdOffMs: number } {
  const claims = seats.toSorted((left, right) => left.instance - right.instance).map(({ claim }) => claim);
  let preferred: Preference = { instance: 0, setAtUs: -1 };
  let holdOffMs = 0;
  for (const claim of claims) {
    if (claim === null || claim.preferred.setAtUs <= preferred.setAtUs) continue;
    preferred = claim.preferred;
    holdOffMs = claim.preferHoldOffMs;
  }
  return { preferred, holdOffMs };
}

/** Active under the highest term; fit; standing by; preferred; connected first, as the sort is stable. */
function compareNearness(left: Seat, right: Seat, preferred: number): number {
  return (
    activeTerm(right) - activeTerm(left) ||
    Number(right.fitFromMs !== null) - Number(left.fitFromMs !== null) ||
    Number(right.claim?.role === 'standby') - Number(left.claim?.role === 'standby') ||
    Number(right.instance === preferred) - Number(left.instance === preferred)
  );
}

function activeTerm({ claim }: Seat): number {
  if (claim === null || (claim.role !== 'active' && claim.role !== 'suspended')) return -1;
  return claim.ownTerm;
}

/** A term for a new holder, or one above what was heard of since. */
function needsTerm(state: ArbiterState, wanted: number, nowMs: number): boolean {
  const { minted, lease } = state;
  if (wanted === 0 || state.raising !== null || nowMs < (state.retryMs ?? 0)) return false;
  const seat = seatOf(state, wanted);
  const isHolder = wanted === minted.holder && seat !== undefined && !isReleased(seat, minted.term);
  if (isHolder && state.highestTerm <= minted.term) return false;
  // Before the holder is asked to stand down, the term of the next one is there.
  const holder = seatOf(state, lease.holder);
  const isHandover = nowMs >= state.guardUntilMs && holder !== undefined && holder.claim !== null;
  return isHandover || isFreeFor(state, wanted, nowMs);
}

/** The archive takes no term, or not within the time of a lease. */
function isUnable({ raising, retryMs }: ArbiterState, claim: LeaseClaim, nowMs: number): boolean {
  return retryMs !== null || (raising !== null && nowMs - raising.fromMs >= leaseMsOf(claim));
}

interface Question {
  readonly seat: Seat;
  readonly claim: LeaseClaim;
  readonly wanted: number;
  readonly reason: string;
  readonly nowMs: number;
}

function answerTo(state: ArbiterState, { seat, claim, wanted, reason, nowMs }: Question): LeaseAnswer {
  const { minted, lease } = state;
  const { instance } = seat;
  const base = { ...minted, durationMs: 0, reason };
  const isFree = isFreeFor(state, instance, nowMs);
  const isNext = minted.holder === instance && wanted === instance;
  // Whoever holds the lease keeps it until there is a term for the next one.
  const isLast =
    lease.holder === instance &&
    lease.term === minted.term &&
    (wanted === instance || !isSucceeded(state.seats, seat, lease.term));
  if (isFree && (isNext || isLast) && !isReleased(seat, minted.term)) {
    return { ...base, kind: 'granted', durationMs: leaseMsOf(claim) };
  }
  const isHeld = minted.holder !== 0 && minted.holder !== instance;
  if (isHeld && (minted.holder === wanted || !isFree)) return { ...base, kind: 'held-by-other' };
  if (isUnable(state, claim, nowMs)) return { ...base, kind: 'unable', reason: 'archive' };
  return { ...base, kind: 'held-by-other', holder: 0, reason: 'undecided' };
}

function isSame(answer: LeaseAnswer, told: LeaseAnswer | null): boolean {
  if (told === null) return false;
  return answer.kind === told.kind && answer.term === told.term && answer.holder === told.holder;
}
