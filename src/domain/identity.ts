/**
 * Who a certificate speaks for, as URIs in its subject alternative name (RFC 5280, section 4.2.1.6):
 * `urn:kom:SITE:agent:PROCESS:INSTANCE` and `urn:kom:SITE:kernel:NAME`, each part percent-encoded. One
 * certificate carries several: a comm server one for each instance that it runs, a Kernel one for each site.
 * The role decides, whoever of the two dialled.
 */
export type CertificateIdentity = AgentIdentity | KernelIdentity;

export interface AgentIdentity {
  readonly role: 'agent';
  readonly site: string;
  readonly process: string;
  /** 1 to 15. */
  readonly instance: number;
}

export interface KernelIdentity {
  readonly role: 'kernel';
  readonly site: string;
  /** For people; what an agent compares is the address that it dialled. */
  readonly name: string;
}

/** `urn:kom:Plant%201:agent:KomA:1` */
export function formatIdentity(identity: CertificateIdentity): string {
  const { role, site } = identity;
  const rest = role === 'agent' ? [identity.process, String(identity.instance)] : [identity.name];
  return ['urn:kom', ...[site, role, ...rest].map(encodeURIComponent)].join(':');
}

/** The identity of a URI; `null` if it is none, or not written as `formatIdentity` writes it. */
export function parseIdentity(uri: string): CertificateIdentity | null {
  const parts = uri.split(':').slice(2).map(decoded);
  const [site, role, name, instance] = parts;
  if (site === undefined || name === undefined) return null;
  const identity: CertificateIdentity | null =
    role === 'agent'
      ? { role, site, process: name, instance: Number(instance) }
      : role === 'kernel'
        ? { role, site, name }
        : null;
  return identity !== null && formatIdentity(identity) === uri ? identity : null;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return '';
  }
}
