import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OPCUAServer } from 'node-opcua';
import type { OpcuaLine } from '../../config/model.ts';
import { describeError, KomError } from '../../domain/errors.ts';
import type { Log } from '../../world/log.ts';

const SESSIONS_MAX = 100;

export type OpcuaServerLibrary = typeof import('node-opcua');

/** Loads the server library, which an agent does not need and an installation may leave out. */
export async function loadOpcuaServer(log: Log): Promise<OpcuaServerLibrary> {
  try {
    const library = await import('node-opcua');
    library.setErrorLogger((_context, ...parts) => log.debug({}, parts.map(String).join(' ').slice(0, 500)));
    library.setWarningLogger((_context, ...parts) =>
      log.debug({}, parts.map(String).join(' ').slice(0, 500)),
    );
    library.setDebugLogger(() => undefined);
    return library;
  } catch (cause) {
    throw new KomError('KOM_USAGE', 'the OPC UA simulator needs the package node-opcua', {
      got: describeError(cause),
      hint: 'install the optional dependencies with npm ci (npm on Node 22 or newer)',
      cause,
    });
  }
}

/** A directory for keys and certificates; removed with the simulator unless the caller named it. */
export interface PkiPlace extends AsyncDisposable {
  readonly directory: string;
}

export async function pkiPlace(named: string | undefined): Promise<PkiPlace> {
  const directory = named ?? (await mkdtemp(join(tmpdir(), 'kom-opcua-sim-')));
  return {
    directory,
    async [Symbol.asyncDispose]() {
      if (named === undefined) await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Where to listen; port 0 takes any free one. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly path: string;
}

export function endpointOf(line: OpcuaLine, port: number | undefined): Endpoint {
  const url = new URL(line.endpointUrl.replace(/^opc\.tcp:/, 'http:'));
  const path = url.pathname === '/' ? '' : url.pathname;
  return { host: url.hostname, path, port: port ?? Number(url.port || 4840) };
}

/** A server that offers None and Basic256Sha256, and asks for the line's user if the line has one. */
export async function createOpcuaServer(
  library: OpcuaServerLibrary,
  line: OpcuaLine,
  place: { endpoint: Endpoint; directory: string },
): Promise<OPCUAServer> {
  const { endpoint, directory } = place;
  const certificates = (name: string): InstanceType<typeof library.OPCUACertificateManager> =>
    new library.OPCUACertificateManager({
      rootFolder: join(directory, name),
      automaticallyAcceptUnknownCertificate: true,
      disableFileWatchers: true,
    });
  const server = new library.OPCUAServer({
    host: endpoint.host,
    hostname: endpoint.host,
    port: endpoint.port,
    resourcePath: endpoint.path,
    nodeset_filename: [library.nodesets.standard],
    serverCertificateManager: certificates('server'),
    userCertificateManager: certificates('users'),
    securityPolicies: [library.SecurityPolicy.None, library.SecurityPolicy.Basic256Sha256],
    securityModes: [
      library.MessageSecurityMode.None,
      library.MessageSecurityMode.Sign,
      library.MessageSecurityMode.SignAndEncrypt,
    ],
    allowAnonymous: line.user === undefined,
    userManager: {
      isValidUser: (name: string, password: string) =>
        name === line.user?.name && password === line.user.password,
    },
    serverInfo: {
      applicationUri: `urn:kom-archive:simulator:${line.name}`,
      applicationName: { text: `KOM Archive simulator of ${line.name}` },
    },
    // As a server of a plant has: clients that were killed leave theirs behind until they time out.
    serverCapabilities: { maxSessions: SESSIONS_MAX },
    buildInfo: { productName: 'KOM Archive simulator' },
  });
  await server.initialize();
  return server;
}
