import type { HandoverRequest } from '../domain/lease.ts';
import type { PeerState } from '../domain/peer-state.ts';
import { isPeerSilent, kernelAnswers, type RoleSettings, type RoleState } from './role-state.ts';

/** About two blocks: what is on its way in a mirror that keeps up. */
const MIRROR_LAG_BYTES_MAX = 64 * 1024;

export interface SwitchFacts {
  readonly settings: RoleSettings;
  readonly state: RoleState;
  readonly peer: PeerState | null;
  /** Bytes of this instance's stores that the peer does not have. */
  readonly mirrorLagBytes: number;
  readonly nowMs: number;
}

/** Why a switch must not be, whatever an operator insists on. */
export function impossibleSwitch(facts: SwitchFacts, { to }: HandoverRequest): string | null {
  const { settings, state, peer } = facts;
  if (!settings.hasPeer) return 'no other server runs this process';
  if (state.isLeaving) return `instance ${settings.instance} is about to end`;
  const others = peer === null ? [] : [peer.instance];
  if (peer !== null && to !== settings.instance && !others.includes(to)) return `there is no instance ${to}`;
  const isOwn = to === settings.instance;
  const isActive = isOwn ? state.phase === 'active' : state.phase === 'standby' && peer?.role === 'active';
  return isActive ? `instance ${to} is active` : null;
}

/** Why a switch would lose data or leave nobody active; an operator may insist on it. */
export function unwiseSwitch(facts: SwitchFacts, { to }: HandoverRequest): string | null {
  const { settings, state, peer, mirrorLagBytes, nowMs } = facts;
  if (state.phase !== 'active' && state.phase !== 'standby') {
    return `instance ${settings.instance} is ${state.phase}; wait until it is active or stands by`;
  }
  const isOwn = to === settings.instance;
  const isPeerThere = settings.hasPeerLink && peer !== null && !isPeerSilent(settings, state, nowMs);
  if (!isPeerThere && !(isOwn && kernelAnswers(settings, state, nowMs))) {
    return 'the other instance is not connected';
  }
  const unfit = isOwn ? state.unfit : (peer?.unfit ?? null);
  if (unfit !== null) return `instance ${to} is unfit: ${unfit}`;
  if (!isOwn && peer?.isLeaving === true) return `instance ${to} is about to end`;
  const lagBytes = isOwn ? (peer?.mirrorLagBytes ?? 0) : mirrorLagBytes;
  if (lagBytes <= MIRROR_LAG_BYTES_MAX) return null;
  return `the mirror lags by ${lagBytes} bytes, which the loss of the other server would lose`;
}
