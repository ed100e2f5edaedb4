import type { Line, PeerAddress, Process, Server, Site } from '../config/model.ts';
import { formatDuration } from '../domain/units.ts';
import { formatAddress } from '../world/transport.ts';

/** Where a comm server listens for its peers, for `kom check`. */
export function* peerLines({ name, peers }: Server): Generator<string> {
  for (const { address, listen, insecure } of peers) {
    const own = isSame({ address, listen }) ? '' : `, listens on ${formatAddress(listen)}`;
    const open = insecure ? ' (without TLS)' : '';
    yield `  peer ${formatAddress(address)}${own}${open}: the others reach ${name} there`;
  }
}

/** Who runs a process, and what each does while the other is active, for `kom check`. */
export function* redundancyLines({ servers, ...process }: Process, site: Site): Generator<string> {
  const members = site.servers.filter(({ name }) => servers.includes(name));
  if (members.length < 2) return;
  const { preferredInstance, preferHoldOffMs, peerTimeoutMs, peerHeartbeatMs, isMirrored } =
    process.redundancy;
  const shown = members.map(({ name, instance }) => {
    const preferred = ` (preferred, after ${formatDuration(preferHoldOffMs)})`;
    return `${instance} on ${name}${instance === preferredInstance ? preferred : ''}`;
  });
  yield `  instances    ${shown.join(', ')}`;
  const networks = lowest(members)?.peers.length ?? 0;
  yield networks === 0
    ? '  peer link    none: only a Kernel can make the standby active'
    : `  peer link    ${networks} ${networks === 1 ? 'network' : 'networks'}, heartbeat ` +
      `${formatDuration(peerHeartbeatMs)}; without a Kernel a silence of ${formatDuration(peerTimeoutMs)} ` +
      'on all of them is a failure';
  yield `  mirror       ${isMirrored ? 'the peer holds what the Kernel does not have yet' : 'none'}`;
  for (const line of process.lines) yield `  standby      line ${line.name} ${describeLine(line)}`;
}

function describeLine({ failover }: Line): string {
  const { standby, isExclusive, onIsolation, isTested } = failover;
  const isolated = onIsolation === 'release' ? 'is let go' : 'is kept';
  const exclusive = isExclusive ? `, one client: alone in the dark it ${isolated}` : '';
  return `${standby}${exclusive}${isTested ? '' : ', not tested'}`;
}

/** The one that is dialled. */
function lowest(members: readonly Server[]): Server | undefined {
  return [...members].sort((a, b) => a.instance - b.instance)[0];
}

function isSame({ address, listen }: Pick<PeerAddress, 'address' | 'listen'>): boolean {
  return formatAddress(address) === formatAddress(listen);
}
