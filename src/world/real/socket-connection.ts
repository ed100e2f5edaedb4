import type { Socket } from 'node:net';
import { KomError } from '../../domain/errors.ts';
import type { CertificateFacts } from '../certificate.ts';
import type { Connection } from '../transport.ts';

/** What lies below and behind a socket with TLS. */
export interface Secured {
  readonly bare: Socket;
  readonly peerCertificate: CertificateFacts | null;
}

/**
 * A socket as a `Connection`. It reads ahead no more than the socket's own buffer (64 KiB) while nobody
 * pulls, and `send` waits while more than that is queued the other way.
 */
export class SocketConnection implements Connection {
  readonly remote: string;
  readonly peerCertificate: CertificateFacts | null;
  readonly #socket: Socket;
  /** The socket below TLS; `null` without TLS. */
  readonly #bare: Socket | null;
  #isBroken = false;
  #error: Error | undefined;
  #room: Promise<void> | undefined;

  constructor(socket: Socket, remote: string, secured: Secured | null = null) {
    this.remote = remote;
    this.peerCertificate = secured?.peerCertificate ?? null;
    this.#socket = socket;
    this.#bare = secured?.bare ?? null;
    socket.on('error', (error) => {
      this.#error ??= error;
    });
  }

  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  async send(bytes: Uint8Array): Promise<void> {
    const socket = this.#socket;
    if (this.#isBroken || socket.destroyed || socket.writableEnded) throw this.#lost();
    if (socket.write(bytes)) return;
    this.#room ??= this.#waitForRoom();
    await this.#room;
  }

  /** One wait for all senders, so that no sender adds a listener. */
  #waitForRoom(): Promise<void> {
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      const settle = () => {
        socket.off('drain', settle).off('finish', settle).off('close', settle);
        this.#room = undefined;
        // A connection that ended in order has passed everything on; a broken one has not.
        if (socket.destroyed && !socket.writableFinished) reject(this.#lost());
        else resolve();
      };
      socket.on('drain', settle).on('finish', settle).on('close', settle);
    });
  }

  close(): void {
    this.#socket.end();
  }

  destroy(): void {
    if (this.#isBroken || this.#socket.destroyed) return;
    this.#isBroken = true;
    // A plain destroy looks like an orderly end to the other side; a Unix socket knows nothing else.
    if (this.#bare !== null) breakLater(this.#socket, this.#bare);
    else if (this.#socket.remoteAddress === undefined) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    const socket = this.#socket;
    const chunks: AsyncIterator<Uint8Array> = socket.iterator({ destroyOnReturn: false });
    return {
      next: async () => {
        if ((this.#isBroken || socket.destroyed) && !socket.readableEnded) throw this.#lost();
        try {
          return await chunks.next();
        } catch (cause) {
          throw this.#lost(cause);
        }
      },
      return: async () => {
        await chunks.return?.();
        // Nobody will read on: what still comes is dropped, so that the end of the stream is noticed.
        socket.resume();
        return { done: true, value: undefined };
      },
    };
  }

  #lost(cause: unknown = this.#error): KomError {
    return new KomError('KOM_CONNECTION_LOST', this.remote, { cause });
  }
}

/**
 * Breaks a socket under TLS. Not at once: Node crashes when the lower socket goes while the upper one is at
 * work, as it is in the callbacks of a handshake.
 */
export function breakLater(socket: Socket, bare: Socket): void {
  setImmediate(() => {
    bare.resetAndDestroy();
    socket.destroy();
  });
}
