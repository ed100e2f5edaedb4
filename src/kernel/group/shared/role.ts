import type { RoleView } from '../../../world/shared-archive.ts';

/**
 * Which role a Kernel has among those that share an archive: event in, state out. Whoever has the lock is
 * hot; what is decided here is only when to reach for it.
 */

/** Whoever was hot may come back for so long, if its session ended while the database was there. */
const RETURN_MAX_MS = 500;
/** And for so long if the database itself was away, or this Kernel has just come. */
const RESTART_MAX_MS = 5000;
/** For so long the lock is kept for the Kernel that it was handed to. */
const HANDED_MAX_MS = 10_000;
/** A Kernel that could not do with the lock what it is for leaves it to others for so long. */
const REST_MS = 5000;

export interface RoleState {
  readonly name: string;
  readonly role: 'starting' | 'standby' | 'hot';
  /** As it was seen last in this session; `null`: there is no session, or nothing was seen yet. */
  readonly view: RoleView | null;
  /** Since when nobody has the lock, as far as this session saw. */
  readonly freeSinceMs: number | null;
  /** In this session somebody else was seen with the lock. */
  readonly sawHolder: boolean;
  /** The highest epoch that is known from the archive, also after it was lost there. */
  readonly knownEpoch: number;
  /** A higher one, that an agent has seen: the archive is not what it was, so nothing is claimed. */
  readonly heardEpoch: number;
  /** The epoch in which it is hot, or was until something else than its own wish ended that. */
  readonly ruledEpoch: number | null;
  /** It was hot, and this one is now. */
  readonly overtakenBy: string | null;
  readonly restUntilMs: number;
}

export type RoleEvent =
  /** A session began. */
  | { readonly kind: 'opened' }
  /** It is over. */
  | { readonly kind: 'lost' }
  | { readonly kind: 'seen'; readonly view: RoleView }
  /** It has the lock, and all that it needs to be hot. */
  | { readonly kind: 'begun'; readonly epoch: number }
  /** It had the lock and could not begin. */
  | { readonly kind: 'failed' }
  /** It gave the lock away because it was told to. */
  | { readonly kind: 'handed'; readonly to: string }
  /** An agent has seen this epoch. */
  | { readonly kind: 'heard'; readonly epoch: number }
  /** An operator wants it to be hot, above everything. */
  | { readonly kind: 'forced' };

export function startRole(name: string): RoleState {
  return {
    ...{ name, role: 'starting', view: null, freeSinceMs: null, sawHolder: false },
    ...{ knownEpoch: 0, heardEpoch: 0, ruledEpoch: null, overtakenBy: null },
    restUntilMs: Number.NEGATIVE_INFINITY,
  };
}

export function stepRole(state: RoleState, event: RoleEvent, nowMs: number): RoleState {
  switch (event.kind) {
    case 'opened':
    case 'lost':
      return { ...noSession(state), role: event.kind === 'lost' ? 'standby' : state.role };
    case 'seen':
      return seen(state, event.view, nowMs);
    case 'begun': {
      const { epoch } = event;
      const known = Math.max(state.knownEpoch, epoch);
      return {
        ...state,
        role: 'hot',
        ruledEpoch: epoch,
        overtakenBy: null,
        knownEpoch: known,
        heardEpoch: 0,
      };
    }
    case 'failed':
      return { ...noSession(state), role: 'standby', restUntilMs: nowMs + REST_MS };
    case 'handed':
      return handed(state, event.to, nowMs);
    case 'heard':
      return heard(state, event.epoch);
    case 'forced':
      return {
        ...state,
        ...{ knownEpoch: Math.max(state.knownEpoch, state.heardEpoch), heardEpoch: 0 },
        restUntilMs: Number.NEGATIVE_INFINITY,
      };
  }
}

/** Whether it is to try for the lock now. */
export function reaches(state: RoleState, nowMs: number): boolean {
  const { view, freeSinceMs, role, heardEpoch, restUntilMs } = state;
  if (view === null || freeSinceMs === null || role === 'hot') return false;
  if (heardEpoch > 0 || nowMs < restUntilMs) return false;
  return nowMs - freeSinceMs >= pauseMs(state, view);
}

function pauseMs({ name, sawHolder }: RoleState, { hot, next }: RoleView): number {
  if (next === name) return 0;
  if (next !== '') return HANDED_MAX_MS;
  if (hot === name || hot === '') return 0;
  return sawHolder ? RETURN_MAX_MS : RESTART_MAX_MS;
}

function noSession(state: RoleState): RoleState {
  return { ...state, view: null, freeSinceMs: null, sawHolder: false };
}

function seen(before: RoleState, view: RoleView, nowMs: number): RoleState {
  const { name, role, freeSinceMs, sawHolder, knownEpoch, heardEpoch, ruledEpoch } = before;
  const isOvertaken = ruledEpoch !== null && view.epoch > ruledEpoch && view.hot !== name;
  const isHot = role === 'hot' && view.holder === 'self' && !isOvertaken;
  return {
    ...before,
    ...{ view, role: isHot ? 'hot' : 'standby' },
    freeSinceMs: view.holder === 'nobody' ? (freeSinceMs ?? nowMs) : null,
    sawHolder: sawHolder || view.holder === 'other',
    knownEpoch: Math.max(knownEpoch, view.epoch),
    heardEpoch: heardEpoch > view.epoch ? heardEpoch : 0,
    ...(isOvertaken ? { ruledEpoch: null, overtakenBy: view.hot } : {}),
  };
}

function handed(state: RoleState, next: string, nowMs: number): RoleState {
  const view = state.view === null ? null : { ...state.view, next, holder: 'nobody' as const };
  return { ...state, view, role: 'standby', ruledEpoch: null, freeSinceMs: nowMs, sawHolder: true };
}

/** The archive is the one place where epochs are raised: a higher one was raised in another copy of it. */
function heard(state: RoleState, epoch: number): RoleState {
  if (epoch <= state.knownEpoch) return state;
  const wasHot = state.role === 'hot';
  return {
    ...{ ...state, role: 'standby', heardEpoch: epoch },
    ...(wasHot ? { ruledEpoch: null, overtakenBy: 'another copy of the database' } : {}),
  };
}
