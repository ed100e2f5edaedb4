import type { PassedMoment } from '../domain/clock-doubt.ts';
import type { KomError } from '../domain/errors.ts';
import type { CertificateFacts } from './certificate.ts';

/** Byte streams between hosts. The protocol above never sees a socket. */
export interface Transport {
  /**
   * Opens a connection to `host:port`.
   * @throws KomError KOM_CONNECTION_REFUSED where the host answers that nobody listens,
   * KOM_CONNECTION_UNREACHABLE where nothing can be said of the host, KOM_CONNECTION_TIMEOUT, with `tls` also
   * KOM_TLS_…; the signal's reason when aborted
   */
  connect(address: Address, options: ConnectOptions): Promise<Connection>;
  /**
   * Listens on an address; `accept` is called for each connection, with `tls` once its handshake is over and
   * its certificate is one of ours.
   * @throws KomError KOM_LISTEN if the address is taken
   */
  listen(
    address: Address,
    accept: (connection: Connection) => void,
    options?: ListenOptions,
  ): Promise<Listener>;
  /**
   * Opens a connection to a Unix socket of this machine.
   * @throws KomError KOM_NOT_RUNNING if nobody listens
   */
  connectLocal(path: string, options: ConnectOptions): Promise<Connection>;
  /**
   * Listens on a Unix socket, mode 0660; a socket file that nobody listens on any more is replaced.
   * @throws KomError KOM_ALREADY_RUNNING if somebody listens on it
   */
  listenLocal(path: string, accept: (connection: Connection) => void): Promise<Listener>;
}

export interface Address {
  readonly host: string;
  /** 0 when listening: any free port. */
  readonly port: number;
}

export interface ConnectOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Local address to leave from; the system's choice if not given. */
  readonly localAddress?: string;
  /** TLS 1.3 with certificates of both sides; in the open if not given. */
  readonly tls?: TlsOptions;
}

export interface ListenOptions {
  /** TLS 1.3 with certificates of both sides; in the open if not given. */
  readonly tls?: TlsOptions;
  /** Told of each connection that did not come to `accept`. */
  readonly refused?: (refusal: Refusal) => void;
}

/**
 * How connections are secured. The transport checks the chain up to the CA, the dates and the revocation
 * list; whether the certificate is that of who the other side claims to be is for the protocol above, by
 * `Connection.peerCertificate`. The same on both sides, whoever dials.
 */
export interface TlsOptions {
  /**
   * Asked anew for each connection; the same object as long as nothing changed.
   * @throws KomError KOM_TLS_… if there is none
   */
  readonly material: () => TlsMaterial;
}

/** PEM texts of one side. */
export interface TlsMaterial {
  /** Certificates of the authorities whose certificates are accepted. */
  readonly ca: string;
  /** The own certificate. */
  readonly certificate: string;
  readonly key: string;
  /** Revoked certificates; nothing is revoked if not given. */
  readonly crl?: string;
  /** Evidence against a wrong clock of this machine, for what is said about dates. */
  readonly passed?: readonly PassedMoment[];
}

/** A connection that was turned away. */
export interface Refusal {
  readonly remote: string;
  readonly error: KomError;
  /**
   * Where the handshake succeeded and only the certificate is not accepted: for a goodbye; whoever is told
   * must destroy it.
   */
  readonly connection: Connection | null;
}

/**
 * A reliable, ordered byte stream. Iterating it yields the bytes that arrive; nobody pulling is the
 * back-pressure to the other side. The iteration ends when the other side closes and throws
 * KOM_CONNECTION_LOST when the connection breaks. Iterate once.
 */
export interface Connection extends AsyncIterable<Uint8Array> {
  /** The other side, for logs: `10.0.0.5:40112`. */
  readonly remote: string;
  /** The checked certificate of the other side; `null` without TLS. */
  readonly peerCertificate: CertificateFacts | null;
  /**
   * Hands bytes to the connection; resolves when there is room for more (not when they arrived).
   * The bytes must not be changed after. @throws KomError KOM_CONNECTION_LOST
   */
  send(bytes: Uint8Array): Promise<void>;
  /** Bytes handed over and not yet passed on to the network. */
  readonly queuedBytes: number;
  /**
   * Ends the stream after what was sent; idempotent. The other direction stays open until the other side
   * ends it and it was read to its end, so a connection that is not read must be destroyed at last.
   */
  close(): void;
  /** Breaks the connection at once, for both sides; idempotent. */
  destroy(): void;
}

export interface Listener {
  readonly address: Address;
  /** Stops accepting; open connections stay. */
  close(): Promise<void>;
}

/** `host:port`, with an IPv6 host in brackets. */
export function formatAddress(address: Address): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
