import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import { createConnection, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { describeError, KomError } from '../../domain/errors.ts';
import {
  type Address,
  type Connection,
  type ConnectOptions,
  formatAddress,
  type Listener,
  type ListenOptions,
  type Transport,
} from '../transport.ts';
import { SocketConnection } from './socket-connection.ts';

/** A quiet connection is probed after this time, so that a vanished peer does not hold it for ever. */
const KEEP_ALIVE_DELAY_MS = 10_000;

const SOCKET_OPTIONS = {
  // Each direction ends by itself; the protocol above decides when both are over.
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
} as const;

const LOCAL_SOCKET_MODE = 0o660;

/** Time in which a live owner of a Unix socket takes a connection. */
const LOCAL_PROBE_TIMEOUT_MS = 2000;

/** TLS takes 3 MB of memory, which a site without it does not pay. */
const loadTls = () => import('./tls.ts');
const loadTlsListener = () => import('./tls-listener.ts');

/** TCP and Unix sockets of this machine. */
export function createTcpTransport(): Transport {
  return { connect, listen, connectLocal, listenLocal };
}

async function connect(address: Address, options: ConnectOptions): Promise<Connection> {
  const where = formatAddress(address);
  const socketOptions: NetConnectOpts = { ...SOCKET_OPTIONS, host: address.host, port: address.port };
  if (options.localAddress !== undefined) socketOptions.localAddress = options.localAddress;
  const startedMs = performance.now();
  // First, so that nobody is dialled in vain.
  const material = options.tls?.material();
  const tls = material === undefined ? undefined : await loadTls();
  if (material !== undefined) tls?.secureContextOf(material);
  const socket = await opened(where, socketOptions, options);
  const { timeoutMs } = options;
  if (material === undefined || tls === undefined) return new SocketConnection(socket, where);
  const leftMs = Math.max(timeoutMs - (performance.now() - startedMs), 1);
  return await tls.secured(socket, where, { ...options, material, timeoutMs: leftMs });
}

async function connectLocal(path: string, options: ConnectOptions): Promise<Connection> {
  const socket = await opened(path, { ...SOCKET_OPTIONS, path }, options);
  return new SocketConnection(socket, path);
}

function opened(where: string, socketOptions: NetConnectOpts, options: ConnectOptions): Promise<Socket> {
  const { timeoutMs, signal } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const socket = createConnection(socketOptions);
    const settle = (finish: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      socket.off('connect', onConnect);
      socket.off('error', onError);
      finish();
    };
    const fail = (reason: unknown) =>
      settle(() => {
        // A socket that is given up may still report an error.
        socket.on('error', () => {});
        socket.destroy();
        reject(reason);
      });
    const onConnect = () => settle(() => resolve(socket));
    const onError = (error: NodeJS.ErrnoException) => fail(connectError(where, error));
    const onAbort = () => fail(signal?.reason);
    const timer = setTimeout(
      () => fail(new KomError('KOM_CONNECTION_TIMEOUT', `${where} did not answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', onConnect);
    socket.once('error', onError);
  });
}

function connectError(where: string, error: NodeJS.ErrnoException): KomError {
  if (error.code === 'ETIMEDOUT') {
    return new KomError('KOM_CONNECTION_TIMEOUT', where, { cause: error });
  }
  const nobody = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
  if (nobody && where.startsWith('/')) return new KomError('KOM_NOT_RUNNING', where, { cause: error });
  // Several addresses of one name fail together, with an error whose own message is empty.
  const reason = describeError(error) || error.code || error.name;
  const code = nobody ? 'KOM_CONNECTION_REFUSED' : 'KOM_CONNECTION_UNREACHABLE';
  return new KomError(code, where, { got: reason, cause: error });
}

async function listen(
  address: Address,
  accept: (connection: Connection) => void,
  options: ListenOptions = {},
): Promise<Listener> {
  const { tls } = options;
  const server =
    tls === undefined
      ? acceptingServer(accept)
      : (await loadTlsListener()).tlsServer({
          accept,
          options: { ...options, tls },
          socketOptions: SOCKET_OPTIONS,
        });
  await bound(server, formatAddress(address), { host: address.host, port: address.port });
  const actual = server.address();
  const port = typeof actual === 'object' && actual !== null ? actual.port : address.port;
  return { address: { host: address.host, port }, close: () => closed(server) };
}

async function listenLocal(path: string, accept: (connection: Connection) => void): Promise<Listener> {
  await makeDirectory(path);
  await removeStaleSocket(path);
  const server = acceptingServer(accept);
  await bound(server, path, { path });
  await chmod(path, LOCAL_SOCKET_MODE);
  return { address: { host: path, port: 0 }, close: () => closed(server) };
}

/** The directory of the socket, made if it is not there. */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
  } catch (cause) {
    throw new KomError('KOM_LISTEN', path, { got: describeError(cause), cause });
  }
}

/** A process that was killed leaves its socket file behind; nobody answers on it any more. */
async function removeStaleSocket(path: string): Promise<void> {
  const entry = await lstat(path).catch(() => undefined);
  if (entry === undefined) return;
  if (!entry.isSocket()) {
    throw new KomError('KOM_LISTEN', path, {
      expected: 'a free path or a socket',
      got: 'another kind of file',
    });
  }
  const probe = await connectLocal(path, { timeoutMs: LOCAL_PROBE_TIMEOUT_MS }).catch((error: KomError) => {
    if (error.code === 'KOM_NOT_RUNNING') return undefined;
    // Somebody holds it but does not answer, or it is not ours to ask.
    throw new KomError('KOM_ALREADY_RUNNING', path, { cause: error });
  });
  if (probe !== undefined) {
    probe.destroy();
    throw new KomError('KOM_ALREADY_RUNNING', path);
  }
  await unlink(path).catch(() => {});
}

function acceptingServer(accept: (connection: Connection) => void): Server {
  return createServer(SOCKET_OPTIONS, (socket) => {
    const remote =
      socket.remoteAddress === undefined
        ? 'local'
        : formatAddress({ host: socket.remoteAddress, port: socket.remotePort ?? 0 });
    accept(new SocketConnection(socket, remote));
  });
}

function bound(
  server: Server,
  where: string,
  options: { path: string } | { host: string; port: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => {
      const code = 'path' in options && error.code === 'EADDRINUSE' ? 'KOM_ALREADY_RUNNING' : undefined;
      const isTaken = error.code === 'EADDRINUSE';
      const hint = isTaken ? 'another program listens there; ss -ltnp shows which' : undefined;
      const detail = { got: describeError(error), cause: error, ...(hint === undefined ? {} : { hint }) };
      reject(new KomError(code ?? 'KOM_LISTEN', where, detail));
    };
    server.once('error', onError);
    server.listen(options, () => {
      server.off('error', onError);
      // A connection that cannot be accepted (no file descriptor left) is lost; the listener goes on.
      server.on('error', () => {});
      resolve();
    });
  });
}

/** The address is free at once; `Server.close` reports back only when the last open connection is over. */
async function closed(server: Server): Promise<void> {
  server.close();
}
