import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { isKomError, KomError } from '../../domain/errors.ts';
import { type Connection, formatAddress, type ListenOptions, type TlsMaterial } from '../transport.ts';
import { SocketConnection } from './socket-connection.ts';
import { contextOptions, handshakeError, judge, secureContextOf, TLS_VERSION } from './tls.ts';

/** From the first packet to a finished handshake. */
const HANDSHAKE_TIMEOUT_MS = 5000;
/** Handshakes under way at once; more connections are broken at once. */
const PENDING_MAX = 100;
/** A handshake costs some two milliseconds of processor time: a flood of them gets a quarter of a core. */
const HANDSHAKES_PER_SECOND_MAX = 100;
/** RFC 8446, section 5.1: the type of a record that carries a handshake. */
const HANDSHAKE_RECORD = 0x16;

export interface TlsListening {
  readonly accept: (connection: Connection) => void;
  readonly options: ListenOptions & Required<Pick<ListenOptions, 'tls'>>;
  readonly socketOptions: object;
}

interface Pending {
  readonly bare: Socket;
  readonly remote: string;
  readonly material: TlsMaterial;
}

/**
 * A server whose connections reach `accept` after a TLS handshake. @throws KomError KOM_TLS_… if the
 * certificates are not usable now
 */
export function tlsServer(listening: TlsListening): Server {
  const gate = new Gate(listening);
  return createServer({ ...listening.socketOptions }, (bare) => gate.take(bare));
}

/** Between the socket and the protocol: looks at the first byte, does the handshake, judges. */
class Gate {
  readonly #listening: TlsListening;
  readonly #tls: TlsServer;
  readonly #pending = new Map<string, Pending>();
  #material: TlsMaterial;
  #secondStartedMs = 0;
  #startedThisSecond = 0;

  constructor(listening: TlsListening) {
    this.#listening = listening;
    this.#material = listening.options.tls.material();
    secureContextOf(this.#material);
    this.#tls = createTlsServer({
      ...contextOptions(this.#material),
      allowHalfOpen: true,
      minVersion: TLS_VERSION,
      requestCert: true,
      // Judged here, so that the log can say why; the other side hears it too.
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    });
    this.#tls.on('secureConnection', (socket) => this.#onSecure(socket));
    this.#tls.on('tlsClientError', (error, socket) => {
      const pending = this.#pending.get(keyOf(socket));
      if (pending !== undefined) this.#refuse(pending, handshakeError(pending.remote, error));
    });
  }

  take(bare: Socket): void {
    const remote = formatAddress({ host: bare.remoteAddress ?? '', port: bare.remotePort ?? 0 });
    bare.on('error', () => {});
    const material = this.#current();
    const pending: Pending = { bare, remote, material };
    if (!this.#hasRoom()) {
      this.#refuse(pending, new KomError('KOM_LIMIT_EXCEEDED', `${remote}: too many TLS handshakes at once`));
      return;
    }
    const key = keyOf(bare);
    this.#pending.set(key, pending);
    const timer = setTimeout(() => {
      const late = new KomError('KOM_CONNECTION_TIMEOUT', `${remote} did not finish the TLS handshake`);
      if (this.#pending.has(key)) this.#refuse(pending, late);
    }, HANDSHAKE_TIMEOUT_MS);
    bare.once('close', () => {
      clearTimeout(timer);
      if (this.#pending.get(key) === pending) this.#pending.delete(key);
    });
    this.#peek(pending);
  }

  /** Who speaks in the open is told so in the open; nothing of what it said is used. */
  #peek(pending: Pending): void {
    const { bare, remote } = pending;
    const look = (): void => {
      const bytes: Buffer | null = bare.read();
      if (bytes === null) {
        if (!bare.readableEnded && !bare.destroyed) bare.once('readable', look);
        return;
      }
      if (bytes[0] !== HANDSHAKE_RECORD) {
        const error = new KomError('KOM_TLS_PLAINTEXT', `${remote} does not speak TLS, and this port does`, {
          hint: 'give the other side a tls section too',
        });
        this.#pending.delete(keyOf(bare));
        this.#tell({ remote, error, connection: new SocketConnection(bare, remote) });
        return;
      }
      bare.unshift(bytes);
      this.#tls.emit('connection', bare);
    };
    bare.once('readable', look);
    bare.once('end', () => {
      if (this.#pending.has(keyOf(bare))) bare.destroy();
    });
  }

  #onSecure(socket: TLSSocket): void {
    const key = keyOf(socket);
    const pending = this.#pending.get(key);
    this.#pending.delete(key);
    if (pending === undefined) {
      socket.destroy();
      return;
    }
    const { bare, remote, material } = pending;
    const judged = judge(socket, remote, material);
    const isRefused = judged instanceof KomError;
    const secured = { bare, peerCertificate: isRefused ? null : judged };
    const connection = new SocketConnection(socket, remote, secured);
    if (isRefused) this.#tell({ remote, error: judged, connection });
    else this.#listening.accept(connection);
  }

  #refuse({ bare, remote }: Pending, error: KomError): void {
    this.#pending.delete(keyOf(bare));
    setImmediate(() => bare.destroy());
    this.#listening.options.refused?.({ remote, error, connection: null });
  }

  #tell(refusal: { remote: string; error: KomError; connection: Connection }): void {
    const { refused } = this.#listening.options;
    if (refused === undefined) refusal.connection.destroy();
    else refused(refusal);
  }

  /** The material of new connections. What is not usable leaves the former one in force. */
  #current(): TlsMaterial {
    try {
      const material = this.#listening.options.tls.material();
      if (material !== this.#material) {
        secureContextOf(material);
        this.#tls.setSecureContext({ ...contextOptions(material), minVersion: TLS_VERSION });
        this.#material = material;
      }
    } catch (error) {
      if (!isKomError(error)) throw error;
    }
    return this.#material;
  }

  #hasRoom(): boolean {
    const nowMs = performance.now();
    if (nowMs - this.#secondStartedMs >= 1000) {
      this.#secondStartedMs = nowMs;
      this.#startedThisSecond = 0;
    }
    if (this.#pending.size >= PENDING_MAX || this.#startedThisSecond >= HANDSHAKES_PER_SECOND_MAX)
      return false;
    this.#startedThisSecond++;
    return true;
  }
}

function keyOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}
