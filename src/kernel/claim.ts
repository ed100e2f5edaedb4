import { KomError } from '../domain/errors.ts';
import { formatIdentity } from '../domain/identity.ts';
import { daysLeft } from '../pki/keeper.ts';
import type { CertificateFacts } from '../world/certificate.ts';

/** Who an agent says it is. */
export interface Claim {
  readonly site: string;
  readonly process: string;
  readonly instance: number;
}

/** What a Kernel asks of who connects. */
export interface ClaimRules {
  /** Sites and, as `site/process`, processes that are welcome; all if not given. */
  readonly accept?: readonly string[] | undefined;
  /** For a data lane: who opened its control lane. */
  readonly control?: Claim | undefined;
}

/**
 * Lets an agent in. Its certificate, where the link has TLS, must speak for the site, process and instance
 * that its Hello claims; a link in the open was allowed by the configuration. A data lane must claim what its
 * control lane did.
 * @throws KomError KOM_TLS_IDENTITY, KOM_AGENT_UNKNOWN
 */
export function checkClaim(certificate: CertificateFacts | null, claim: Claim, rules: ClaimRules): void {
  const { site, process, instance } = claim;
  const { accept, control } = rules;
  const wanted = formatIdentity({ role: 'agent', site, process, instance });
  const spoken = certificate?.identities.map(formatIdentity) ?? [wanted];
  if (!spoken.includes(wanted)) {
    throw new KomError('KOM_TLS_IDENTITY', nameOf(claim), {
      expected: wanted,
      got: `${certificate?.subject} for ${spoken.join(', ') || 'nobody'}`,
      hint: 'kom pki init takes the processes of each server from the site file',
    });
  }
  if (accept !== undefined && !accept.includes(site) && !accept.includes(`${site}/${process}`)) {
    throw new KomError('KOM_AGENT_UNKNOWN', nameOf(claim), { expected: `one of ${accept.join(', ')}` });
  }
  if (control === undefined || nameOf(control) === nameOf(claim)) return;
  throw new KomError('KOM_TLS_IDENTITY', 'a data lane', { expected: nameOf(control), got: nameOf(claim) });
}

function nameOf({ site, process, instance }: Claim): string {
  return `${site}/${process} instance ${instance}`;
}

/** What the log says of the certificate of an agent that was let in; nothing without TLS. */
export function certificateFields(certificate: CertificateFacts | null, nowUs: number) {
  if (certificate === null) return {};
  const { fingerprint, validToUs } = certificate;
  return { fingerprint, certificateDaysLeft: daysLeft(validToUs, nowUs) };
}
