import { describeError } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Address, Connection, Listener, Transport } from '../world/transport.ts';

/** Pieces in which a slow cable carries bytes, so that its connections share it fairly. */
const PIECE_BYTES = 512;
const CONNECT_TIMEOUT_MS = 2000;

export interface CableOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Log;
  readonly target: () => Address;
}

/** A cable that can be cut, healed and made slow: forwards every connection to a target. */
export class Cable {
  readonly #options: CableOptions;
  readonly #open = new Set<Connection>();
  #listener: Listener | null = null;
  #isCut = false;
  #bytesPerS = Number.POSITIVE_INFINITY;
  /** When the slow cable is free again, monotonic milliseconds. */
  #freeMs = 0;

  private constructor(options: CableOptions) {
    this.#options = options;
  }

  static async lay(options: CableOptions): Promise<Cable> {
    const cable = new Cable(options);
    cable.#listener = await options.transport.listen({ host: '127.0.0.1', port: 0 }, (near) => {
      cable.#carry(near).catch((error: unknown) => {
        options.log.debug({ error: describeError(error) }, 'a connection over the cable ended');
      });
    });
    return cable;
  }

  get address(): Address {
    return this.#listener?.address ?? { host: '127.0.0.1', port: 0 };
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  /** Breaks every connection; new ones are refused until healed. */
  cut(): void {
    this.#isCut = true;
    for (const connection of this.#open) connection.destroy();
  }

  /** Carries again, at most so many bytes a second in each direction together. */
  heal(bytesPerS = Number.POSITIVE_INFINITY): void {
    this.#isCut = false;
    this.#bytesPerS = bytesPerS;
    this.#freeMs = 0;
  }

  async close(): Promise<void> {
    this.cut();
    await this.#listener?.close();
  }

  async #carry(near: Connection): Promise<void> {
    if (this.#isCut) return near.destroy();
    this.#open.add(near);
    let far: Connection | null = null;
    try {
      far = await this.#options.transport.connect(this.#options.target(), { timeoutMs: CONNECT_TIMEOUT_MS });
      if (this.#isCut) return;
      this.#open.add(far);
      await Promise.race([this.#pump(near, far), this.#pump(far, near)]);
    } finally {
      for (const connection of [near, far]) {
        if (connection === null) continue;
        this.#open.delete(connection);
        // What was handed over before one side closed still arrives.
        connection.close();
      }
    }
  }

  async #pump(from: Connection, to: Connection): Promise<void> {
    for await (const bytes of from) {
      const pieceBytes = Number.isFinite(this.#bytesPerS) ? PIECE_BYTES : bytes.length;
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        const piece = bytes.subarray(at, at + pieceBytes);
        await this.#turn(piece.length);
        await to.send(piece);
      }
    }
  }

  async #turn(bytes: number): Promise<void> {
    if (!Number.isFinite(this.#bytesPerS)) return;
    const nowMs = this.#options.clock.monotonicMs();
    this.#freeMs = Math.max(nowMs, this.#freeMs) + (bytes / this.#bytesPerS) * 1000;
    await this.#options.clock.sleep(this.#freeMs - nowMs);
  }
}
