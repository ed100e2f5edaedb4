import type { Role } from '../domain/lease.ts';
import type { Term } from '../domain/term.ts';
import type { Clock } from '../world/clock.ts';
import type { MemberFacts } from './member.ts';
import {
  holdsLease,
  isPeerGone,
  isPeerSilent,
  kernelAnswers,
  type Phase,
  REASONS,
  type Reason,
  roleOf,
} from './role-state.ts';
import type { SwitchFacts } from './switch-refusal.ts';

/** A change of the role, for the record. */
export interface RoleChange {
  readonly phase: Phase;
  readonly why: Reason;
  readonly term: Term;
  /** Integer µs. */
  readonly atUs: number;
}

/** What somebody should look after; the codes are those of alarms. */
export interface MemberCondition {
  readonly code:
    | 'peer-silent'
    | 'isolated'
    | 'term-not-durable'
    | 'site-hash-differs'
    | 'program-version-differs';
  readonly text: string;
}

export interface MemberStatus {
  readonly instance: number;
  readonly role: Role;
  readonly phase: Phase;
  readonly term: Term;
  readonly highestTerm: Term;
  /** Integer µs, by the wall clock. */
  readonly sinceUs: number;
  /** For a person. */
  readonly why: string;
  /** Milliseconds until the lease runs out; `null`: it has none. */
  readonly leaseMs: number | null;
  readonly kernelAnswers: boolean;
  readonly isIsolated: boolean;
  readonly unfit: string | null;
  readonly preferredInstance: number;
  readonly mirrorLagBytes: number;
  /** `null`: there is none, or nothing was heard of it since the start. */
  readonly peer: PeerStatus | null;
  readonly conditions: readonly MemberCondition[];
  /** The last ones, oldest first. */
  readonly changes: readonly RoleChange[];
}

export interface PeerStatus {
  readonly instance: number;
  readonly role: Role;
  readonly term: Term;
  readonly state: 'there' | 'silent' | 'dead';
  readonly hasLease: boolean;
  readonly kernelAnswers: boolean;
  readonly unfit: string | null;
  readonly stationsAnswering: number;
  readonly stations: number;
  readonly mirrorLagBytes: number;
}

type Described = SwitchFacts & {
  readonly clock: Clock;
  readonly changes: readonly RoleChange[];
  readonly facts: MemberFacts;
};

export function describeMember(described: Described): MemberStatus {
  const { settings, state, mirrorLagBytes, nowMs, clock, changes } = described;
  return {
    instance: settings.instance,
    role: roleOf(state),
    phase: state.phase,
    term: state.ownTerm,
    highestTerm: state.highestTerm,
    sinceUs: clock.wallUs() - Math.round((nowMs - state.sinceMs) * 1000),
    why: REASONS[state.why],
    leaseMs: holdsLease(state, nowMs) ? state.leaseUntilMs - nowMs : null,
    kernelAnswers: kernelAnswers(settings, state, nowMs),
    isIsolated: state.isIsolated,
    unfit: state.unfit,
    preferredInstance: state.preferred.instance,
    mirrorLagBytes,
    peer: peerStatus(described),
    conditions: conditionsOf(described),
    changes: [...changes],
  };
}

function peerStatus({ settings, state, peer, nowMs }: Described): PeerStatus | null {
  if (peer === null) return null;
  const { instance, role, hasLease, unfit, stationsAnswering, stations, mirrorLagBytes } = peer;
  const isSilent = isPeerSilent(settings, state, nowMs);
  const presence = isPeerGone(settings, state, nowMs) ? 'dead' : isSilent ? 'silent' : 'there';
  return {
    instance,
    role,
    term: peer.ownTerm,
    state: presence,
    hasLease,
    kernelAnswers: peer.kernelAnswers,
    unfit,
    stationsAnswering,
    stations,
    mirrorLagBytes,
  };
}

function conditionsOf({ settings, state, peer, facts, nowMs }: Described): MemberCondition[] {
  const conditions: MemberCondition[] = [];
  if (settings.hasPeerLink && isPeerSilent(settings, state, nowMs)) {
    conditions.push({ code: 'peer-silent', text: 'the other instance is silent on all networks' });
  }
  if (state.isIsolated) {
    conditions.push({ code: 'isolated', text: 'active with neither a lease nor a peer' });
  }
  if (!state.isDurable) {
    conditions.push({ code: 'term-not-durable', text: 'the disk refused the term; a restart forgets it' });
  }
  if (peer !== null && peer.siteHash !== facts.siteHash) {
    conditions.push({ code: 'site-hash-differs', text: 'the other instance runs another site file' });
  }
  if (peer !== null && peer.programVersion !== facts.programVersion) {
    conditions.push({
      code: 'program-version-differs',
      text: `the other instance is ${peer.programVersion}, this one ${facts.programVersion}`,
    });
  }
  return conditions;
}
