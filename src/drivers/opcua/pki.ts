import { X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describeError, KomError } from '../../domain/errors.ts';
import type { Log } from '../../world/log.ts';
import type { OpcuaLibrary } from './library.ts';

/** The client's own certificate and key. */
export interface ClientIdentity {
  /** DER. */
  readonly certificate: Buffer;
  readonly privateKeyPem: string;
  /** The URI that the certificate was issued for; a server compares the two. */
  readonly applicationUri: string;
}

/**
 * The directory of certificates of a line:
 * `own/certificate.pem`, `own/private_key.pem` (made on first use), `trusted/*.pem` or `*.der` (servers that
 * are trusted), `rejected/*.pem` (servers that were refused; moving a file to `trusted/` trusts it).
 */
const OWN = 'own';
const TRUSTED = 'trusted';
const REJECTED = 'rejected';

/** A refused server cannot fill the disk with ever new certificates. */
const REJECTED_MAX = 100;
const KEY_BITS = 2048;
const VALIDITY_DAYS = 3650;

/** Reads the client's certificate and key; makes them if the directory has none. */
export async function clientIdentity(opcua: OpcuaLibrary, directory: string): Promise<ClientIdentity> {
  try {
    return (await readIdentity(directory)) ?? (await makeIdentity(opcua, directory));
  } catch (cause) {
    throw new KomError(
      'KOM_DEVICE_UNREACHABLE',
      `the client's certificate in ${join(directory, OWN)} is not usable`,
      {
        got: describeError(cause),
        hint: 'make the directory writable, or delete it to have a new certificate made',
        cause,
      },
    );
  }
}

async function readIdentity(directory: string): Promise<ClientIdentity | undefined> {
  const own = join(directory, OWN);
  const files = await readdir(own).catch(() => []);
  if (files.length === 0) return undefined;
  const certificate = new X509Certificate(await readFile(join(own, 'certificate.pem')));
  const privateKeyPem = await readFile(join(own, 'private_key.pem'), 'utf8');
  const applicationUri = /URI:([^,\s]+)/.exec(certificate.subjectAltName ?? '')?.[1];
  if (applicationUri === undefined) throw new Error('the certificate carries no application URI');
  return { certificate: certificate.raw, privateKeyPem, applicationUri };
}

async function makeIdentity(opcua: OpcuaLibrary, directory: string): Promise<ClientIdentity> {
  const { crypto_utils: crypto } = opcua;
  const { privateKey } = await crypto.generateKeyPair(KEY_BITS);
  const { privPem } = await crypto.privateKeyToPEM(privateKey);
  const { cert } = await crypto.createSelfSignedCertificate({
    privateKey,
    validity: VALIDITY_DAYS,
    subject: '/CN=KOM Archive/O=KOM Archive',
    dns: [hostname()],
    applicationUri: `urn:${hostname()}:kom-archive`,
    purpose: crypto.CertificatePurpose.ForApplication,
  });
  // Certificate and key appear together or not at all, also when two lines share the directory.
  await mkdir(directory, { recursive: true });
  const made = await mkdtemp(join(directory, 'new-'));
  await writeFile(join(made, 'certificate.pem'), cert);
  await writeFile(join(made, 'private_key.pem'), privPem, { mode: 0o600 });
  await rename(made, join(directory, OWN)).catch(() => rm(made, { recursive: true }));
  const identity = await readIdentity(directory);
  if (identity === undefined) throw new Error('the certificate could not be stored');
  return identity;
}

/** Which server, and whether a certificate seen for the first time is trusted. */
export interface TrustRequest {
  readonly directory: string;
  readonly endpointUrl: string;
  readonly trustOnFirstUse: boolean;
  /** DER, the server's own certificate. */
  readonly certificate: Buffer;
  /** Integer µs, to tell an expired certificate. */
  readonly nowUs: number;
  readonly log: Log;
}

/**
 * Accepts a server's certificate that is in `trusted/`, or, with `trustOnFirstUse`, the first one that this
 * endpoint ever showed; a later change of it is refused.
 * @throws KomError KOM_DEVICE_REJECTED naming the file to move, when it is refused
 */
export async function verifyServer(request: TrustRequest): Promise<void> {
  const { directory, endpointUrl, log } = request;
  const certificate = new X509Certificate(request.certificate);
  const trusted = await trustedCertificates(join(directory, TRUSTED));
  const fields = { endpointUrl, subject: certificate.subject, sha256: certificate.fingerprint256 };
  if (Date.parse(certificate.validTo) * 1000 < request.nowUs) {
    log.warn({ ...fields, validTo: certificate.validTo }, 'the OPC UA server shows an expired certificate');
  }
  if (trusted.some((each) => each.fingerprint256 === certificate.fingerprint256)) return;
  const prefix = `${endpointUrl.replace(/^opc\.tcp:\/\//, '').replace(/[^A-Za-z0-9.-]+/g, '_')}-`;
  const known = trusted.some((each) => each.file.startsWith(prefix));
  const file = `${prefix}${certificate.fingerprint256.replaceAll(':', '').slice(0, 16)}.pem`;
  if (request.trustOnFirstUse && !known) {
    await store(join(directory, TRUSTED), file, certificate);
    log.warn(
      { ...fields, file },
      'trusted a certificate of an OPC UA server that was seen for the first time',
    );
    return;
  }
  const stored = await store(join(directory, REJECTED), file, certificate);
  const what = known
    ? 'now shows another certificate than before'
    : 'shows a certificate that is not trusted';
  throw new KomError('KOM_DEVICE_REJECTED', `the OPC UA server ${endpointUrl} ${what}`, {
    got: `${certificate.subject.replaceAll('\n', ', ')}, SHA-256 ${certificate.fingerprint256}`,
    hint: `if it is the right server, move ${stored} to ${join(directory, TRUSTED)}`,
  });
}

interface TrustedCertificate {
  readonly file: string;
  readonly fingerprint256: string;
}

async function trustedCertificates(directory: string): Promise<TrustedCertificate[]> {
  const files = await readdir(directory).catch(() => []);
  const read = files.map(async (file): Promise<TrustedCertificate | undefined> => {
    try {
      return {
        file,
        fingerprint256: new X509Certificate(await readFile(join(directory, file))).fingerprint256,
      };
    } catch {
      return undefined; // Not a certificate; it trusts nobody.
    }
  });
  return (await Promise.all(read)).filter((each) => each !== undefined);
}

async function store(directory: string, file: string, certificate: X509Certificate): Promise<string> {
  await mkdir(directory, { recursive: true });
  const path = join(directory, file);
  const present = await readdir(directory);
  if (present.includes(file) || present.length < REJECTED_MAX) await writeFile(path, certificate.toString());
  return path;
}
