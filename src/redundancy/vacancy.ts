import {
  isPeerGone,
  isPeerSilent,
  kernelAnswers,
  type PeerWord,
  type Reason,
  type RoleSettings,
  type RoleState,
  takeoverSilenceMs,
} from './role-state.ts';

/** Nobody is active, as far as this instance knows; it may act after waiting so long. */
export interface Vacancy {
  readonly why: Reason;
  readonly waitMs: number;
}

/**
 * Whether an instance that listens or stands by knows of nobody active. `null`: somebody is, or a Kernel
 * decides, or nothing can be known. The waits let the one go first that is nearer to being active, and let
 * the other one act where that one does not.
 */
export function vacancyOf(settings: RoleSettings, state: RoleState, nowMs: number): Vacancy | null {
  if (state.isLeaving || kernelAnswers(settings, state, nowMs)) return null;
  const isStarting = state.phase === 'starting';
  if (!settings.hasPeerLink) return isStarting ? { why: 'nothing-heard', waitMs: 0 } : null;
  if (isPeerGone(settings, state, nowMs)) return { why: 'peer-dead', waitMs: 0 };
  if (isPeerSilent(settings, state, nowMs)) {
    if (isStarting) return { why: 'nothing-heard', waitMs: 0 };
    const isLong = nowMs - state.quietFromMs >= takeoverSilenceMs(settings, state);
    return isLong ? { why: 'peer-silent', waitMs: 0 } : null;
  }
  const { peer } = state;
  if (peer === null || peer.role === 'active' || peer.role === 'suspended') return null;
  if (peer.isLeaving) return { why: 'peer-left', waitMs: 0 };
  if (peer.role === 'starting' && !isStarting && !peer.kernelAnswers) {
    return { why: 'peer-restarted', waitMs: 0 };
  }
  return { why: 'nobody-active', waitMs: waitMs(settings, state, peer) };
}

function waitMs(settings: RoleSettings, state: RoleState, peer: PeerWord): number {
  const { peerTimeoutMs } = settings;
  // The Kernel that answers the peer is about to decide for it.
  if (peer.kernelAnswers || !isFirstInLine(settings, state, peer)) return 3 * peerTimeoutMs;
  return state.phase === 'starting' ? 0 : peerTimeoutMs;
}

/** Who stands by goes before who starts, a fit one before an unfit one; then the preferred, the lower. */
function isFirstInLine(settings: RoleSettings, state: RoleState, peer: PeerWord): boolean {
  const isStarting = state.phase === 'starting';
  if (isStarting !== (peer.role === 'starting')) return !isStarting;
  if ((state.unfit === null) !== (peer.unfit === null)) return state.unfit === null;
  if (state.preferred.instance === settings.instance) return true;
  if (state.preferred.instance === peer.instance) return false;
  return settings.instance < peer.instance;
}
