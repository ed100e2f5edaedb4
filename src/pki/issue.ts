import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  webcrypto,
} from 'node:crypto';
import { type CertificateIdentity, formatIdentity } from '../domain/identity.ts';

/** A certificate and its key, PEM. */
export interface KeyedCertificate {
  readonly certificate: string;
  /** PKCS #8. */
  readonly key: string;
}

/** Integer µs. */
export interface Validity {
  readonly fromUs: number;
  readonly toUs: number;
}

export interface CertificateRequest {
  readonly commonName: string;
  readonly identities: readonly CertificateIdentity[];
  /** DNS names and IP addresses. */
  readonly hosts: readonly string[];
  readonly validity: Validity;
  /** PEM of a key to keep; a new one is made if not given. */
  readonly key?: string;
}

/** A certificate that is no longer accepted. */
export interface Revocation {
  /** Hexadecimal. */
  readonly serialNumber: string;
  readonly atUs: number;
}

const ORGANIZATION = 'KOM Archive';
const SIGNING = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const SERIAL_BYTES = 16;
/** RFC 5280, section 5.2.3. */
const CRL_NUMBER_OID = '2.5.29.20';

type Library = typeof import('@peculiar/x509');

/** Loaded only when certificates are made: an agent that runs has no use for it. */
async function library(): Promise<Library> {
  // The library's dependency injection needs it first.
  await import('reflect-metadata');
  return await import('@peculiar/x509');
}

/** A new authority: self-signed, P-256, only for signing certificates and revocation lists. */
export async function makeAuthority(name: string, validity: Validity): Promise<KeyedCertificate> {
  const x509 = await library();
  const key = newKey();
  const keys = await keyPair(key);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumberOf(key, [name, validity]),
    name: distinguishedName(name),
    notBefore: dateOf(validity.fromUs),
    notAfter: dateOf(validity.toUs),
    signingAlgorithm: SIGNING,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pem(certificate), key: pemOf(key) };
}

/** A certificate of a machine. It serves both ends of a connection, as either side may dial. */
export async function issueCertificate(
  authority: KeyedCertificate,
  request: CertificateRequest,
): Promise<KeyedCertificate> {
  const x509 = await library();
  const key = request.key === undefined ? newKey() : createPrivateKey(request.key);
  const issuer = new x509.X509Certificate(authority.certificate);
  const signer = await keyPair(createPrivateKey(authority.key));
  const { publicKey } = await keyPair(key);
  const { identities, hosts, validity, commonName } = request;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumberOf(key, [commonName, identities, hosts, validity]),
    subject: distinguishedName(commonName),
    issuer: issuer.subjectName.toJSON(),
    notBefore: dateOf(validity.fromUs),
    notAfter: dateOf(validity.toUs),
    signingAlgorithm: SIGNING,
    publicKey,
    signingKey: signer.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.clientAuth,
        x509.ExtendedKeyUsage.serverAuth,
      ]),
      new x509.SubjectAlternativeNameExtension([
        ...identities.map((identity) => ({ type: 'url' as const, value: formatIdentity(identity) })),
        ...hosts.map((host) => ({ type: isIp(host) ? ('ip' as const) : ('dns' as const), value: host })),
      ]),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(signer.publicKey),
    ],
  });
  return { certificate: pem(certificate), key: pemOf(key) };
}

/**
 * A revocation list. Its dates are those of the authority: a list that is not renewed in time must not cut
 * a site from its Kernel, nor one that a slow clock takes for a list of the future.
 */
export async function makeRevocationList(
  authority: KeyedCertificate,
  revoked: readonly Revocation[],
): Promise<string> {
  const x509 = await library();
  const issuer = new x509.X509Certificate(authority.certificate);
  const signer = await keyPair(createPrivateKey(authority.key));
  const list = await x509.X509CrlGenerator.create({
    issuer: issuer.subjectName.toJSON(),
    thisUpdate: issuer.notBefore,
    nextUpdate: issuer.notAfter,
    signingAlgorithm: SIGNING,
    signingKey: signer.privateKey,
    entries: revoked.map(({ serialNumber, atUs }) => ({
      serialNumber,
      revocationDate: dateOf(atUs),
    })),
    extensions: [
      await x509.AuthorityKeyIdentifierExtension.create(signer.publicKey),
      // Grows with each revocation, as nothing is ever taken off the list.
      new x509.Extension(CRL_NUMBER_OID, false, derInteger(revoked.length + 1)),
    ],
  });
  return pemText('X509 CRL', Buffer.from(list.rawData));
}

/** What a revocation list holds. @throws Error if the text is none */
export async function readRevocationList(text: string): Promise<Revocation[]> {
  const x509 = await library();
  return new x509.X509Crl(text).entries.map(({ serialNumber, revocationDate }) => ({
    serialNumber: serialNumber.toUpperCase(),
    atUs: revocationDate.getTime() * 1000,
  }));
}

function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

/** The halves of a key as WebCrypto takes them. */
async function keyPair(key: KeyObject): Promise<webcrypto.CryptoKeyPair> {
  const { subtle } = webcrypto;
  const jwk = key.export({ format: 'jwk' });
  const { d: _private, ...open } = jwk;
  return {
    privateKey: await subtle.importKey('jwk', jwk, SIGNING, true, ['sign']),
    publicKey: await subtle.importKey('jwk', open, SIGNING, true, ['verify']),
  };
}

function pemOf(key: KeyObject): string {
  return String(key.export({ format: 'pem', type: 'pkcs8' }));
}

function pem(certificate: { readonly rawData: ArrayBuffer }): string {
  return pemText('CERTIFICATE', Buffer.from(certificate.rawData));
}

/** RFC 7468, section 2. */
function pemText(label: string, content: Buffer): string {
  const lines = content.toString('base64').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

/**
 * Of all that a certificate says, so that no two have one number. Positive, and without a leading zero byte
 * (RFC 5280, section 4.1.2.2).
 */
function serialNumberOf(key: KeyObject, content: readonly unknown[]): string {
  const open = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const bytes = createHash('sha256')
    .update(open)
    .update(JSON.stringify(content))
    .digest()
    .subarray(0, SERIAL_BYTES);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

function distinguishedName(commonName: string) {
  return [{ CN: [commonName] }, { O: [ORGANIZATION] }];
}

function dateOf(timeUs: number): Date {
  return new Date(Math.floor(timeUs / 1_000_000) * 1000);
}

function isIp(host: string): boolean {
  return host.includes(':') || /^\d{1,3}(\.\d{1,3}){3}$/.test(host);
}

/** Of a number below 2³¹. */
function derInteger(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  const first = bytes.findIndex((byte, at) => byte !== 0 || at === 3);
  const content = bytes.subarray((bytes[first] ?? 0) >= 0x80 ? first - 1 : first);
  return new Uint8Array([0x02, content.length, ...content]);
}
