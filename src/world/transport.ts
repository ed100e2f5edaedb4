/** Byte streams between hosts. The protocol above never sees a socket. */
export interface Transport {
  /**
   * Opens a connection to `host:port`.
   * @throws KomError KOM_CONNECTION_REFUSED, KOM_CONNECTION_TIMEOUT; the signal's reason when aborted
   */
  connect(address: Address, options: ConnectOptions): Promise<Connection>;
  /**
   * Listens on an address; `accept` is called for each connection.
   * @throws KomError KOM_CONNECTION_REFUSED if the address is taken
   */
  listen(address: Address, accept: (connection: Connection) => void): Promise<Listener>;
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
}

/**
 * A reliable, ordered byte stream. Iterating it yields the bytes that arrive; nobody pulling is the
 * back-pressure to the other side. The iteration ends when the other side closes and throws
 * KOM_CONNECTION_LOST when the connection breaks. Iterate once.
 */
export interface Connection extends AsyncIterable<Uint8Array> {
  /** The other side, for logs: `10.0.0.5:40112`. */
  readonly remote: string;
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
