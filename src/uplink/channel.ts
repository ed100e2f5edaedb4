import { KomError } from '../domain/errors.ts';
import type { CertificateFacts } from '../world/certificate.ts';
import type { Clock, Timer } from '../world/clock.ts';
import type { Connection } from '../world/transport.ts';
import { decodeMessage, encodeMessage } from './codec.ts';
import { foreignProtocol } from './foreign.ts';
import { FrameSplitter } from './frame.ts';
import { FRAME_BYTES_MAX, FRAME_BYTES_MAX_BEFORE_WELCOME } from './limits.ts';
import type { ByeReason, Message } from './messages.ts';

/** A goodbye has so long to leave. */
const LINGER_MS = 500;

/** A connection that carries messages. Iterate `messages` once. */
export class Channel {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #splitter = new FrameSplitter(FRAME_BYTES_MAX_BEFORE_WELCOME);
  readonly #iterator: AsyncIterator<Message>;
  #heardMs: number;
  #sentBytes = 0;
  #receivedBytes = 0;
  #whenHeard: () => void = () => {};
  #linger: Timer | null = null;
  #isDestroyed = false;
  #saidBye = false;

  constructor(connection: Connection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
    this.#heardMs = clock.monotonicMs();
    this.#iterator = this.#read();
  }

  get remote(): string {
    return this.#connection.remote;
  }

  /** The certificate of the other side; `null` without TLS. */
  get peerCertificate(): CertificateFacts | null {
    return this.#connection.peerCertificate;
  }

  /** Bytes handed over and not yet passed on to the network. */
  get queuedBytes(): number {
    return this.#connection.queuedBytes;
  }

  /** Bytes handed over since the connection began. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Bytes read since the connection began. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** How long nothing was heard, milliseconds. Any byte counts as life. */
  get silentMs(): number {
    return this.#clock.monotonicMs() - this.#heardMs;
  }

  /** This side has broken the connection. */
  get isDestroyed(): boolean {
    return this.#isDestroyed;
  }

  /** Called whenever bytes were read, in place of what was given before. */
  whenHeard(callback: () => void): void {
    this.#whenHeard = callback;
  }

  /** The handshake is over: larger frames are welcome. */
  established(): void {
    this.#splitter.frameBytesMax = FRAME_BYTES_MAX;
  }

  /** Resolves when there is room for more. @throws KomError KOM_CONNECTION_LOST */
  send(message: Message): Promise<void> {
    const bytes = encodeMessage(message);
    this.#sentBytes += bytes.length;
    return this.#connection.send(bytes);
  }

  /**
   * The next message, or `null` when the other side has closed.
   * @throws KomError KOM_FRAME_INVALID, KOM_FRAME_TOO_LARGE, KOM_CONNECTION_LOST
   */
  async receive(): Promise<Message | null> {
    const { value, done } = await this.#iterator.next();
    return done === true ? null : value;
  }

  /**
   * As `receive`, within a time. @throws KomError KOM_CONNECTION_TIMEOUT; the connection is then destroyed
   */
  async receiveWithin(timeoutMs: number): Promise<Message | null> {
    let isLate = false;
    const timer = this.#clock.schedule('receive timeout', timeoutMs, () => {
      isLate = true;
      this.destroy();
    });
    const late = (): KomError =>
      new KomError('KOM_CONNECTION_TIMEOUT', `${this.remote} said nothing for ${timeoutMs} ms`);
    try {
      const message = await this.receive();
      if (isLate) throw late();
      return message;
    } catch (error) {
      throw isLate ? late() : error;
    } finally {
      timer.cancel();
    }
  }

  /** This side has said goodbye: that the other one goes now is what was asked for. */
  get saidBye(): boolean {
    return this.#saidBye;
  }

  /** Says why, as far as the connection still takes it, and closes; breaks what is not closed soon. */
  bye(reason: ByeReason, text: string): void {
    this.#saidBye = true;
    this.send({ type: 'bye', reason, text }).catch(() => {
      // The other side is gone already; there is nobody left to tell.
    });
    this.#connection.close();
    this.destroySoon();
  }

  /** A goodbye that was said gets a moment to leave before the connection is broken. */
  destroySoon(): void {
    this.#linger ??= this.#clock.schedule('linger', LINGER_MS, () => this.destroy());
  }

  destroy(): void {
    this.#isDestroyed = true;
    this.#connection.destroy();
  }

  async *#read(): AsyncGenerator<Message> {
    let isFirst = true;
    for await (const bytes of this.#connection) {
      const foreign = isFirst ? foreignProtocol(bytes) : null;
      if (foreign !== null) throw new KomError('KOM_FRAME_INVALID', `it looks like ${foreign}`);
      isFirst = false;
      this.#heardMs = this.#clock.monotonicMs();
      this.#receivedBytes += bytes.length;
      this.#whenHeard();
      for (const payload of this.#splitter.push(bytes)) yield decodeMessage(payload);
    }
  }
}
