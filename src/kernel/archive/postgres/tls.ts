import { readFileSync } from 'node:fs';
import type { DatabaseHost, PostgresArchiveConfig } from '../../../config/model/kernel.ts';
import { describeError } from '../../../domain/errors.ts';

/** A file that the Kernel file names is of no use. */
export class TlsFileError extends Error {}

/**
 * How to speak to a server, with the files as they are now.
 * @throws TlsFileError
 */
export function sslOf({ tls }: Pick<PostgresArchiveConfig, 'tls'>, { host }: Pick<DatabaseHost, 'host'>) {
  if (tls === null) return {};
  const ca = textAt('ca', tls.ca);
  const cert = textAt('certificate', tls.certificate);
  const key = textAt('key', tls.key);
  // The host is who the certificate must speak for, also where it is an address.
  const required = { host, rejectUnauthorized: true, minVersion: 'TLSv1.2' } as const;
  return { ssl: { ...required, ...(ca && { ca }), ...(cert && { cert, key }) } };
}

function textAt(name: 'ca' | 'certificate' | 'key', path: string | null): string | undefined {
  if (path === null) return undefined;
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new TlsFileError(`archive.postgres.tls.${name} cannot be read: ${describeError(error)}`);
  }
  if (/^-----BEGIN /m.test(text)) return text;
  throw new TlsFileError(`archive.postgres.tls.${name} is no PEM file: ${path}`);
}

/** Codes of Node for a certificate that nobody who is trusted has issued. */
const UNTRUSTED = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
]);

/** Why a certificate is no good, by a code of Node. */
const REASONS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'has expired: renew it there, or set the clock of this machine right',
  CERT_NOT_YET_VALID: 'is not valid yet: set the clock of this machine right, or issue it anew',
};

/**
 * What an operator can do where the server and this Kernel do not trust each other; `null`: it is something
 * else. @throws TlsFileError
 */
export function tlsFinding(
  error: unknown,
  { host, tls }: Pick<DatabaseHost, 'host'> & Pick<PostgresArchiveConfig, 'tls'>,
): string | null {
  const code = (error as { readonly code?: unknown } | null)?.code;
  if (typeof code !== 'string' || tls === null) return null;
  const told = describeError(error);
  if (code.startsWith('ERR_OSSL_')) {
    throw new TlsFileError(`${tls.certificate} and ${tls.key} are no certificate with its key: ${told}`);
  }
  if (code === 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA') {
    return `the server does not trust ${tls.certificate}, which this Kernel shows: see its ssl_ca_file`;
  }
  const theirs = 'the certificate of the database server';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `${theirs} is not for ${host}, as hosts has it: ${told}`;
  const reason = REASONS[code];
  if (reason !== undefined) return `${theirs} ${reason}`;
  if (!UNTRUSTED.has(code)) return null;
  const known = tls.ca === null ? 'that Node knows' : `in ${tls.ca}`;
  const todo = 'archive.postgres.tls.ca must name the one that issued it';
  return `${theirs} is not of an authority ${known}; ${todo}`;
}
