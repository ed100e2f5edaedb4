import { KomError } from '../domain/errors.ts';
import { formatIdentity } from '../domain/identity.ts';
import type { Hello } from '../uplink/messages.ts';
import type { CertificateFacts } from '../world/certificate.ts';

/** Who runs an instance. */
export interface MemberIdentity {
  readonly site: string;
  readonly process: string;
  readonly instance: number;
}

/**
 * Whether the other side of a peer link may speak for this instance of the process: by its certificate, where
 * the link has TLS; a link in the open was allowed by the site file. @throws KomError KOM_TLS_IDENTITY
 */
export function checkCertificate(certificate: CertificateFacts | null, peer: MemberIdentity): void {
  if (certificate === null) return;
  const wanted = formatIdentity({ role: 'agent', ...peer });
  const spoken = certificate.identities.map(formatIdentity);
  if (spoken.includes(wanted)) return;
  throw new KomError('KOM_TLS_IDENTITY', `instance ${peer.instance} of ${peer.process}`, {
    expected: wanted,
    got: `${certificate.subject} for ${spoken.join(', ') || 'nobody'}`,
    hint: 'kom pki init takes the processes of each server from the site file',
  });
}

/**
 * Who a Hello on the peer lane says it is: the other instance of a process of ours.
 * @throws KomError KOM_PROTOCOL_STATE, KOM_AGENT_UNKNOWN
 */
export function checkPeerHello(hello: Hello, own: MemberIdentity, peer: MemberIdentity): void {
  const { lane, site, process, instance } = hello;
  if (lane !== 'peer')
    throw new KomError('KOM_PROTOCOL_STATE', `a Hello for the ${lane} lane at a peer link`);
  if (site === peer.site && process === peer.process && instance === peer.instance) return;
  throw new KomError('KOM_AGENT_UNKNOWN', `instance ${instance} of ${site}/${process}`, {
    expected: `instance ${peer.instance} of ${peer.site}/${peer.process}`,
    ...(instance === own.instance
      ? { hint: 'two servers run the same instance: each server of the site file has a number of its own' }
      : {}),
  });
}
