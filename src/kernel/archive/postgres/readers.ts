import { type Connection, type ConnectOptions, connect } from './connection.ts';

/** Questions that are worked on at once; more wait. */
const READERS_MAX = 4;

/** Connections that read: to the host that takes writes or, while there is none, to one that answers. */
export class Readers {
  readonly #options: ConnectOptions;
  readonly #idle: Connection[] = [];
  #count = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(options: ConnectOptions) {
    this.#options = options;
  }

  /** Works on a connection of its own. @throws KomError KOM_ARCHIVE_UNAVAILABLE; DatabaseError */
  async use<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    while (this.#count === READERS_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#count += 1;
    try {
      const connection = this.#takeIdle() ?? (await connect(this.#options, true));
      try {
        return await work(connection);
      } finally {
        if (connection.isUsable) this.#idle.push(connection);
      }
    } finally {
      this.#count -= 1;
      this.#waiting.shift()?.();
    }
  }

  /** Those that are idle go: they may lead to a host that has changed its role. */
  async renew(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((connection) => connection.close()));
  }

  #takeIdle(): Connection | undefined {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (idle.isUsable) return idle;
    }
    return undefined;
  }
}
