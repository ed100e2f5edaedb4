import type { Socket } from 'node:net';
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { clockDoubt } from '../../domain/clock-doubt.ts';
import { describeError, type ErrorCode, KomError } from '../../domain/errors.ts';
import { formatTimeUs } from '../../domain/units.ts';
import { type CertificateFacts, certificateFacts, isSignedBy } from '../certificate.ts';
import type { Connection, TlsMaterial } from '../transport.ts';
import { breakLater, SocketConnection } from './socket-connection.ts';

/** RFC 8446; nothing older is spoken. */
export const TLS_VERSION = 'TLSv1.3';

const contexts = new WeakMap<TlsMaterial, SecureContext>();

/**
 * The context of some material, made once.
 * @throws KomError KOM_TLS_KEY, KOM_TLS_FILE if the texts are not usable or do not belong together
 */
export function secureContextOf(material: TlsMaterial): SecureContext {
  const known = contexts.get(material);
  if (known !== undefined) return known;
  try {
    const context = createSecureContext({
      ...contextOptions(material),
      minVersion: TLS_VERSION,
      maxVersion: TLS_VERSION,
    });
    contexts.set(material, context);
    return context;
  } catch (cause) {
    const isMismatch = (cause as NodeJS.ErrnoException).code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH';
    throw new KomError(isMismatch ? 'KOM_TLS_KEY' : 'KOM_TLS_FILE', 'the own certificate', {
      got: describeError(cause),
      cause,
    });
  }
}

/** The texts as Node names them. */
export function contextOptions({ ca, certificate, key, crl }: TlsMaterial) {
  return { ca, cert: certificate, key, ...(crl === undefined ? {} : { crl }) };
}

/** Codes of OpenSSL's verification (openssl-verification-options(1)) that an operator can act on. */
const VERDICTS: Readonly<Record<string, ErrorCode>> = {
  CERT_HAS_EXPIRED: 'KOM_TLS_EXPIRED',
  CRL_HAS_EXPIRED: 'KOM_TLS_EXPIRED',
  CERT_NOT_YET_VALID: 'KOM_TLS_NOT_YET_VALID',
  CRL_NOT_YET_VALID: 'KOM_TLS_NOT_YET_VALID',
  CERT_REVOKED: 'KOM_TLS_REVOKED',
  UNABLE_TO_GET_CRL: 'KOM_TLS_FILE',
};

/** The certificate that the other side showed, or why it is not accepted. */
export function judge(socket: TLSSocket, where: string, material: TlsMaterial): CertificateFacts | KomError {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return new KomError('KOM_TLS_NO_CERTIFICATE', where);
  if (socket.isSessionReused()) {
    // A resumed session would pass by a revocation list that is newer than it.
    return new KomError('KOM_TLS_HANDSHAKE', `${where} resumed an older session`);
  }
  const facts = certificateFacts(certificate);
  if (socket.authorized) return facts;
  // A text, though it is declared as an error.
  const verdict: unknown = socket.authorizationError;
  return refusal({
    where,
    facts,
    material,
    verdict: describeError(verdict),
    isSigned: isSignedBy(certificate, material.ca),
  });
}

interface Rejected {
  readonly where: string;
  readonly facts: CertificateFacts;
  readonly material: TlsMaterial;
  /** Of OpenSSL. */
  readonly verdict: string;
  /** One of our authorities signed it: OpenSSL looks for a revocation list by name before that. */
  readonly isSigned: boolean;
}

function refusal({ where, facts, material, verdict, isSigned }: Rejected): KomError {
  const code = (isSigned ? VERDICTS[verdict] : undefined) ?? 'KOM_TLS_UNKNOWN_CA';
  const nowUs = Date.now() * 1000;
  const isDate = code === 'KOM_TLS_EXPIRED' || code === 'KOM_TLS_NOT_YET_VALID';
  const validity = `valid ${formatTimeUs(facts.validFromUs)} to ${formatTimeUs(facts.validToUs)}`;
  const doubt = clockDoubt(nowUs, material.passed ?? []);
  return new KomError(code, where, {
    got: `${facts.subject} of ${facts.issuer}, ${validity}, ${verdict}`,
    ...(isDate ? { hint: doubt ?? `the clock of this machine shows ${formatTimeUs(nowUs)}` } : {}),
    ...(code === 'KOM_TLS_UNKNOWN_CA'
      ? { hint: 'both sides need certificates of one authority, as kom pki init makes them' }
      : {}),
    ...(code === 'KOM_TLS_FILE' ? { hint: 'the revocation list is not of the authority of this site' } : {}),
  });
}

/** What OpenSSL says when the bytes are no TLS records. */
const NO_TLS = new Set([
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_HTTP_REQUEST',
  'ERR_SSL_RECORD_LAYER_FAILURE',
  'ERR_SSL_UNEXPECTED_MESSAGE',
]);

/** Why a handshake failed, in the words of an operator. */
export function handshakeError(where: string, error: NodeJS.ErrnoException): KomError {
  if (NO_TLS.has(error.code ?? '')) {
    return new KomError('KOM_TLS_PLAINTEXT', `${where} does not speak TLS`, {
      hint: 'give both sides a tls section, or both "insecure": true',
      cause: error,
    });
  }
  if (error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT') {
    return new KomError('KOM_CONNECTION_TIMEOUT', `${where} did not finish the TLS handshake`);
  }
  const isOld = /UNSUPPORTED_PROTOCOL|ALERT_PROTOCOL_VERSION/.test(error.code ?? '');
  return new KomError('KOM_TLS_HANDSHAKE', where, {
    ...(isOld ? { expected: 'TLS 1.3' } : {}),
    got: error.code ?? describeError(error),
    cause: error,
  });
}

export interface SecuringOptions {
  readonly material: TlsMaterial;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Makes a connection over a socket that has just connected. The socket is broken if that fails.
 * @throws KomError KOM_TLS_…, KOM_CONNECTION_TIMEOUT; the signal's reason when aborted
 */
export function secured(bare: Socket, where: string, options: SecuringOptions): Promise<Connection> {
  const { material, timeoutMs, signal } = options;
  const secureContext = secureContextOf(material);
  return new Promise((resolve, reject) => {
    bare.on('error', () => {});
    const socket = connect({
      socket: bare,
      secureContext,
      minVersion: TLS_VERSION,
      // The protocol above decides by role and address, whoever dialled; the chain is judged here.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    const settle = (finish: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      socket.off('secureConnect', onSecure).off('error', onError);
      finish();
    };
    const fail = (reason: unknown) =>
      settle(() => {
        socket.on('error', () => {});
        breakLater(socket, bare);
        reject(reason);
      });
    const onSecure = () => {
      const judged = judge(socket, where, material);
      if (judged instanceof KomError) fail(judged);
      else settle(() => resolve(new SocketConnection(socket, where, { bare, peerCertificate: judged })));
    };
    const onError = (error: Error) => fail(handshakeError(where, error));
    const onAbort = () => fail(signal?.reason);
    const timer = setTimeout(
      () => fail(new KomError('KOM_CONNECTION_TIMEOUT', `${where} did not finish the TLS handshake`)),
      timeoutMs,
    );
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.once('secureConnect', onSecure);
    socket.once('error', onError);
  });
}
