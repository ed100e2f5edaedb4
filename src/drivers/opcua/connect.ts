import type { ClientSession, EndpointDescription, OPCUAClient, UserIdentityInfo } from 'node-opcua-client';
import type { OpcuaLine } from '../../config/model.ts';
import { describeError, isKomError, KomError } from '../../domain/errors.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { LinkRole } from '../driver.ts';
import { bounded } from './bounded.ts';
import type { OpcuaLibrary } from './library.ts';
import { type ClientIdentity, clientIdentity, verifyServer } from './pki.ts';
import { type Session, withRawServices } from './session.ts';

/** An activated session on a connection that is up. */
export interface OpenSession {
  readonly client: OPCUAClient;
  readonly session: Session;
  /** Aborted, with a KomError, when the connection is gone. */
  readonly lost: AbortSignal;
}

/** A session that could not be closed because its connection was gone; the server still holds it. */
export interface OrphanSession {
  readonly session: Session;
  /** Monotonic time at which the server has given it up by itself. */
  readonly expiresAtMs: number;
}

/** Holds at most one session between two connections. */
export interface OrphanKeeper {
  take(): OrphanSession | undefined;
  keep(orphan: OrphanSession | undefined): void;
}

export interface ConnectContext {
  readonly opcua: OpcuaLibrary;
  readonly line: OpcuaLine;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly role: LinkRole;
  /** The server is to keep changes for so long while the link stands by; not given: as configured. */
  readonly failoverMs?: number;
}

/** A goodbye may take this long; then the connection is dropped, and the session ends by its time-out. */
const CLOSE_MAX_MS = 1500;

/**
 * Connects, closes what an earlier connection left at the server, and opens a session.
 * @param orphans gives the session to close, and takes it back if the connection broke before that was tried
 */
export async function openSession(context: ConnectContext, orphans: OrphanKeeper): Promise<OpenSession> {
  const { opcua, line, clock, signal } = context;
  const identity = await clientIdentity(opcua, line.pkiDirectory);
  const secured = line.securityPolicy !== 'None';
  const serverCertificate = secured ? await trustedServerCertificate(context, identity) : undefined;
  const security = { securityMode: line.securityMode, securityPolicy: line.securityPolicy };
  const client = createClient(context, identity, {
    ...security,
    ...(serverCertificate === undefined ? {} : { serverCertificate }),
  });
  const bound = { clock, signal, ms: line.connectTimeoutMs, what: line.endpointUrl };
  const lost = watchConnection(line, client);
  let opening: Promise<ClientSession> | undefined;
  try {
    await bounded(bound, client.connect(line.endpointUrl));
    await reclaim(context, { client, lost }, orphans);
    opening = client.createSession(userOf(opcua, line));
    const session = withRawServices(await bounded(bound, opening));
    // Without this the library would open a new session by itself when the server has lost this one.
    Object.assign(session, { recursive_repair_detector: Number.MAX_SAFE_INTEGER / 2 });
    return { client, session, lost };
  } catch (error) {
    abandon(client, opening);
    throw signal.aborted ? error : connectError(line, error);
  }
}

/** Drops a connection; a session that is still being opened is closed first, whenever it comes. */
function abandon(client: OPCUAClient, opening: Promise<ClientSession> | undefined): void {
  Promise.resolve(opening)
    .then((session) => (session === undefined ? undefined : client.closeSession(session, true)))
    .catch(() => undefined) // The attempt has failed already; its own error is the one that is told.
    .finally(() => dropClient(client));
}

/**
 * Closes the session, if the other side is believed to answer, and the connection.
 * @returns false if the server still holds the session and the next connection should close it
 */
export async function closeSession(
  context: ConnectContext,
  open: OpenSession,
  peerAnswers: boolean,
): Promise<boolean> {
  const { clock, line, log } = context;
  try {
    if (!peerAnswers || open.lost.aborted) return false;
    const bound = { clock, ms: CLOSE_MAX_MS, what: `closing the session at ${line.endpointUrl}` };
    await bounded(bound, open.client.closeSession(open.session, true));
  } catch (error) {
    log.debug({ reason: describeError(error) }, 'the OPC UA server did not confirm the end of the session');
  } finally {
    dropClient(open.client);
  }
  return true;
}

function watchConnection(line: OpcuaLine, client: OPCUAClient): AbortSignal {
  const lost = new AbortController();
  const onLoss = (): void =>
    lost.abort(new KomError('KOM_CONNECTION_LOST', `OPC UA server ${line.endpointUrl}`));
  client.on('connection_lost', onLoss);
  client.on('close', onLoss);
  return lost.signal;
}

/** Ends a connection without waiting for the other side. */
function dropClient(client: OPCUAClient): void {
  client.removeAllListeners();
  // An error here is about a connection that nobody uses any more.
  client.disconnect().catch(() => undefined);
}

/**
 * A session outlives its connection at the server. The one that the last connection left is moved to the
 * new connection and closed there, so that a flapping line never piles up sessions.
 */
async function reclaim(
  context: ConnectContext,
  { client, lost }: Pick<OpenSession, 'client' | 'lost'>,
  orphans: OrphanKeeper,
): Promise<void> {
  const { clock, line, log, signal } = context;
  const orphan = orphans.take();
  if (orphan === undefined || clock.monotonicMs() >= orphan.expiresAtMs) return;
  const bound = {
    clock,
    signal,
    ms: line.connectTimeoutMs,
    what: `the former session at ${line.endpointUrl}`,
  };
  let isOurs = false;
  try {
    await bounded(bound, client.reactivateSession(orphan.session));
    isOurs = true;
    await bounded(bound, client.closeSession(orphan.session, true));
    log.debug({}, 'closed the session that the last connection left at the OPC UA server');
  } catch (error) {
    if (lost.aborted && !isOurs) orphans.keep(orphan);
    // Mostly the server has been restarted and knows nothing of it; else its time-out ends it.
    log.debug({ reason: describeError(error) }, 'the former session at the OPC UA server was not closed');
  }
}

type Security = Pick<
  NonNullable<Parameters<OpcuaLibrary['OPCUAClient']['create']>[0]>,
  'securityMode' | 'securityPolicy' | 'serverCertificate'
>;

function createClient(context: ConnectContext, identity: ClientIdentity, security: Security): OPCUAClient {
  const { opcua, line } = context;
  const { coercePEMorDerToPrivateKey } = opcua.crypto_utils;
  const mode = opcua.MessageSecurityMode;
  const keepAliveMs = line.publishingIntervalMs * line.keepAliveCount;
  return opcua.OPCUAClient.create({
    ...security,
    securityMode: mode[security.securityMode as keyof typeof mode],
    applicationName: 'KOM Archive',
    applicationUri: identity.applicationUri,
    clientName: `KOM Archive ${line.name}`,
    certificateKeyPairProvider: {
      getCertificate: () => identity.certificate,
      getCertificateChain: () => [identity.certificate],
      getPrivateKey: () => coercePEMorDerToPrivateKey(identity.privateKeyPem),
    },
    clientCertificateManager: alreadyVerified(opcua),
    // The supervisor alone reconnects: one attempt, and nothing after a loss.
    connectionStrategy: { maxRetry: 0, initialDelay: 1, maxDelay: 1 },
    keepPendingSessionsOnDisconnect: true,
    keepSessionAlive: false,
    endpointMustExist: false,
    requestedSessionTimeout: line.sessionTimeoutMs,
    defaultTransactionTimeout: line.connectTimeoutMs,
    transportTimeout: Math.max(20_000, 2 * line.connectTimeoutMs, 3 * keepAliveMs),
  });
}

type CertificateStore = NonNullable<
  NonNullable<Parameters<OpcuaLibrary['OPCUAClient']['create']>[0]>['clientCertificateManager']
>;

/** Trust is decided in `trustedServerCertificate`, before the library sees the server's certificate. */
function alreadyVerified(opcua: OpcuaLibrary): CertificateStore {
  const good = async () => opcua.StatusCodes.Good;
  const nothing = async () => undefined;
  return {
    referenceCounter: 0,
    initialize: nothing,
    dispose: nothing,
    checkCertificate: good,
    verifyCertificate: async () => 'Good',
    trustCertificate: nothing,
    rejectCertificate: nothing,
    getTrustStatus: good,
    addIssuer: nothing,
    addRevocationList: nothing,
  };
}

/** Asks the server for its endpoints, without security as the standard has it, and decides on trust. */
async function trustedServerCertificate(context: ConnectContext, identity: ClientIdentity): Promise<Buffer> {
  const { opcua, line, clock, log, signal } = context;
  const client = createClient(context, identity, { securityMode: 'None', securityPolicy: 'None' });
  const bound = { clock, signal, ms: line.connectTimeoutMs, what: `the endpoints of ${line.endpointUrl}` };
  let endpoints: EndpointDescription[];
  try {
    await bounded(bound, client.connect(line.endpointUrl));
    endpoints = await bounded(bound, client.getEndpoints({ endpointUrl: line.endpointUrl }));
  } catch (error) {
    throw connectError(line, error);
  } finally {
    dropClient(client);
  }
  const policy = opcua.SecurityPolicy[line.securityPolicy];
  const mode = opcua.MessageSecurityMode[line.securityMode];
  const endpoint = endpoints.find((each) => each.securityPolicyUri === policy && each.securityMode === mode);
  if (endpoint === undefined || endpoint.serverCertificate.length === 0) {
    const offered = endpoints.map((each) => {
      const name = each.securityPolicyUri?.split('#')[1] ?? 'no policy';
      return `${name}/${opcua.MessageSecurityMode[each.securityMode]}`;
    });
    throw new KomError('KOM_DEVICE_REJECTED', `the OPC UA server ${line.endpointUrl} has no such security`, {
      expected: `${line.securityPolicy}/${line.securityMode}`,
      got: [...new Set(offered)].join(', ') || 'no endpoint',
    });
  }
  const [certificate = endpoint.serverCertificate] = opcua.crypto_utils.split_der(endpoint.serverCertificate);
  const { pkiDirectory: directory, endpointUrl, trustOnFirstUse } = line;
  await verifyServer({ directory, endpointUrl, trustOnFirstUse, certificate, log, nowUs: clock.wallUs() });
  return endpoint.serverCertificate;
}

function userOf(opcua: OpcuaLibrary, line: OpcuaLine): UserIdentityInfo {
  if (line.user === undefined) return { type: opcua.UserTokenType.Anonymous };
  return { type: opcua.UserTokenType.UserName, userName: line.user.name, password: line.user.password };
}

const REJECTIONS =
  /BadUserAccessDenied|Bad(?:IdentityToken|Security|Certificate|TooMany)\w+|user token policy/i;

/** Tells what an operator can do: a wrong address, a refusal, or silence. */
export function connectError(line: OpcuaLine, error: unknown): unknown {
  if (isKomError(error)) return error;
  const got = describeError(error).replace(/\s+/g, ' ').slice(0, 300);
  const reason = REJECTIONS.exec(got)?.[0];
  if (reason === undefined) {
    return new KomError('KOM_DEVICE_UNREACHABLE', `OPC UA server ${line.endpointUrl}`, { got, cause: error });
  }
  const user = line.user === undefined ? 'anonymous' : `user ${line.user.name}`;
  return new KomError('KOM_DEVICE_REJECTED', `OPC UA server ${line.endpointUrl}, ${user}`, {
    got,
    hint: hintFor(reason, line),
    cause: error,
  });
}

function hintFor(reason: string, line: OpcuaLine): string {
  if (reason.includes('Certificate') || reason.includes('BadSecurity')) {
    return `let the server trust the certificate in ${line.pkiDirectory}/own`;
  }
  if (reason.startsWith('BadTooMany')) return 'the server has no room for another session';
  return 'check the user name and the password';
}
