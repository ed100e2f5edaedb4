import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { PassedMoment } from '../domain/clock-doubt.ts';
import { describeError, isKomError, KomError } from '../domain/errors.ts';
import { type CertificateFacts, certificateFacts } from '../world/certificate.ts';
import type { TlsFileAccess, TlsFileContent, TlsFiles } from '../world/tls-files.ts';
import type { TlsMaterial } from '../world/transport.ts';

/** What the files of one side hold, checked as far as they can be without the other side. */
export interface OwnCertificates {
  readonly material: TlsMaterial;
  readonly facts: CertificateFacts;
  /** What an operator should hear though TLS works with it. */
  readonly warnings: readonly string[];
}

/**
 * Reads the files of one side.
 * @throws KomError KOM_TLS_FILE for a file that is not there or not what it should be, KOM_TLS_KEY
 */
export async function readOwnCertificates(
  files: TlsFiles,
  access: TlsFileAccess,
  passed: readonly PassedMoment[],
): Promise<OwnCertificates> {
  const isCrlThere = !files.isCrlOptional || (await access.stamp(files.crl)) !== null;
  const [ca, certificate, key, crl] = await Promise.all([
    access.read(files.ca),
    access.read(files.certificate),
    access.read(files.key),
    isCrlThere ? access.read(files.crl) : null,
  ]);
  const parsed = parseCertificate(files.certificate, certificate.text);
  const authorities = certificatesIn(ca.text).map((text) => parseCertificate(files.ca, text));
  if (authorities.length === 0) throw unusable(files.ca, 'no certificate');
  checkKey(parsed, files, key.text);
  const facts = certificateFacts(parsed);
  const material: TlsMaterial = {
    ca: ca.text,
    certificate: certificate.text,
    key: key.text,
    ...(crl === null ? {} : { crl: crl.text }),
    passed: [...passed, ...momentsOf(facts, files, { ca, certificate })],
  };
  await access.check(material);
  const warnings: string[] = [];
  if (key.isOpenToOthers) warnings.push(`others than its owner can read the key ${files.key}: chmod 600 it`);
  if (!authorities.some((authority) => parsed.checkIssued(authority) && parsed.verify(authority.publicKey))) {
    warnings.push(`${files.certificate} was not issued by an authority in ${files.ca}`);
  }
  return { material, facts, warnings };
}

function momentsOf(
  facts: CertificateFacts,
  files: TlsFiles,
  read: { readonly ca: TlsFileContent; readonly certificate: TlsFileContent },
): PassedMoment[] {
  return [
    { what: 'the own certificate is valid from then on, and was made', atUs: facts.validFromUs },
    { what: `${files.certificate} was written`, atUs: read.certificate.modifiedUs },
    { what: `${files.ca} was written`, atUs: read.ca.modifiedUs },
  ];
}

function parseCertificate(path: string, text: string): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch (cause) {
    throw unusable(path, describeError(cause), cause);
  }
}

function checkKey(certificate: X509Certificate, files: TlsFiles, text: string): void {
  let belongs = false;
  try {
    belongs = certificate.checkPrivateKey(createPrivateKey(text));
  } catch (cause) {
    // The cause is told without the text: it is the key.
    throw unusable(
      files.key,
      'no private key in PEM without a passphrase',
      isKomError(cause) ? cause : undefined,
    );
  }
  if (belongs) return;
  throw new KomError('KOM_TLS_KEY', files.key, {
    expected: `the key of ${files.certificate}`,
    hint: 'copy both from the same folder of kom pki init',
  });
}

function unusable(path: string, got: string, cause?: unknown): KomError {
  return new KomError('KOM_TLS_FILE', path, { got, hint: 'kom pki init makes it', cause });
}

/** Each certificate of a PEM text. */
export function certificatesIn(text: string): string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
}
