import { X509Certificate } from 'node:crypto';
import { type CertificateIdentity, parseIdentity } from '../domain/identity.ts';

/** What a certificate says, as far as anybody here asks. */
export interface CertificateFacts {
  /** In one line: `CN=ServerKom1, O=KOM Archive`. */
  readonly subject: string;
  readonly issuer: string;
  /** Hexadecimal, as `openssl x509 -serial` prints it. */
  readonly serialNumber: string;
  /** SHA-256 of the whole certificate, hexadecimal with colons. */
  readonly fingerprint: string;
  /** Integer µs; the certificate is valid from here to there. */
  readonly validFromUs: number;
  readonly validToUs: number;
  /** Whom it speaks for. */
  readonly identities: readonly CertificateIdentity[];
  /** DNS names and IP addresses that it was issued for. */
  readonly hosts: readonly string[];
  readonly isCa: boolean;
}

/** Reads a certificate, PEM (the first one in the text) or DER. @throws Error if it is none */
export function readCertificate(content: string | Uint8Array): CertificateFacts {
  return certificateFacts(new X509Certificate(content));
}

/** One of the authorities in a PEM text signed it; their names alone may be those of another one. */
export function isSignedBy(certificate: X509Certificate, authorities: string): boolean {
  const texts = authorities.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return texts.some((text) => certificate.verify(new X509Certificate(text).publicKey));
}

/** What a parsed certificate says. */
export function certificateFacts(certificate: X509Certificate): CertificateFacts {
  const names = alternativeNames(certificate.subjectAltName ?? '');
  return {
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    serialNumber: certificate.serialNumber,
    fingerprint: certificate.fingerprint256,
    validFromUs: certificate.validFromDate.getTime() * 1000,
    validToUs: certificate.validToDate.getTime() * 1000,
    identities: names.flatMap(({ kind, name }) => (kind === 'URI' ? (parseIdentity(name) ?? []) : [])),
    hosts: names.flatMap(({ kind, name }) => (kind === 'DNS' || kind === 'IP Address' ? name : [])),
    isCa: certificate.ca,
  };
}

/**
 * Entries of `subjectAltName` as Node prints it. A name with a comma or a quote is printed as a JSON text, so
 * that no name can look like two.
 */
function alternativeNames(text: string): { readonly kind: string; readonly name: string }[] {
  const entries = text.matchAll(/(?:^|, )(DNS|IP Address|URI):(?:("(?:[^"\\]|\\.)*")|([^,"]*))(?=, |$)/g);
  return [...entries].map(([, kind = '', quoted, plain = '']) => ({
    kind,
    name: quoted === undefined ? plain : String(JSON.parse(quoted)),
  }));
}

function oneLine(name: string): string {
  return name.replaceAll('\n', ', ');
}
