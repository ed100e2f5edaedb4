import type { MembershipStatus } from '../agent/membership.ts';
import { formatTerm } from '../domain/term.ts';
import { formatDuration, formatSize, formatTimeUs } from '../domain/units.ts';

/** The role of an instance and what it knows of the other one. */
export function* memberLines(member: MembershipStatus | null): Generator<string> {
  if (member === null) return;
  const { role, term, sinceUs, why, leaseMs, isIsolated, unfit, preferredInstance } = member;
  const preferred = preferredInstance === 0 ? '' : `; instance ${preferredInstance} is preferred`;
  yield `  role         ${role} since ${formatTimeUs(sinceUs)}: ${why}${preferred}`;
  const lease = leaseMs === null ? 'no lease' : `lease for ${formatDuration(Math.round(leaseMs))}`;
  const alone = isIsolated ? ', alone: neither a lease nor the other instance' : '';
  const fit = unfit === null ? '' : `, unfit: ${unfit}`;
  yield `               term ${formatTerm(term)}, ${lease}${alone}${fit}`;
  yield* peerLines(member);
}

function* peerLines({ peer, networks, mirrorLagBytes, mirror }: MembershipStatus): Generator<string> {
  if (networks.length === 0) {
    yield '  peer         no link between the comm servers is configured';
    return;
  }
  if (peer === null) yield '  peer         nothing heard of it since the start';
  else {
    const { instance, role, state, stationsAnswering, stations, unfit } = peer;
    const seen = role === 'active' ? `, ${stationsAnswering} of ${stations} stations answer` : '';
    const fit = unfit === null ? '' : `, unfit: ${unfit}`;
    yield `  peer         instance ${instance} is ${state}, ${role}${seen}${fit}`;
  }
  if (mirror !== null) {
    const lag = mirrorLagBytes === 0 ? 'has all that is held here' : `lacks ${formatSize(mirrorLagBytes)}`;
    const { heldSamples, heldBytes, diskBytes, deliversFor } = mirror;
    yield `  mirror       the peer ${lag}`;
    const delivers = deliversFor.length === 0 ? '' : '; delivers them in its place';
    const held = `${heldSamples} samples, ${formatSize(heldBytes)} (${formatSize(diskBytes)} on disk)`;
    yield `               of the peer ${held} are held here${delivers}`;
  }
  for (const [at, { remote, lastError }] of networks.entries()) {
    const text = remote === null ? `no connection${lastError === null ? '' : `: ${lastError}`}` : remote;
    yield `               network ${at + 1}: ${text}`;
  }
}
