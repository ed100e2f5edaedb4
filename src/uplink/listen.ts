import type { UplinkSettings } from '../config/model.ts';
import { isKomError, KomError } from '../domain/errors.ts';
import { isInRanges } from '../domain/ip-range.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import {
  type Address,
  type Connection,
  formatAddress,
  type Listener,
  type TlsOptions,
  type Transport,
} from '../world/transport.ts';
import { Channel } from './channel.ts';
import type { LaneMaker, MakeHello, PathStatus } from './dial.ts';
import { greet, type Lanes } from './greet.ts';

/** An address that is taken is tried again after this time. */
const LISTEN_RETRY_MS = 2000;

export interface ListenOptions {
  readonly address: Address;
  /** Addresses and networks that connections are taken from; empty: any. */
  readonly allowFrom: readonly string[];
  readonly tls?: TlsOptions | undefined;
  readonly hello: MakeHello;
  readonly settings: UplinkSettings;
  readonly transport: Pick<Transport, 'listen'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Told of each connection that came to nothing. */
  readonly failed: (kernel: string, error: KomError) => void;
}

/** A connection that has the Welcome of its control lane and waits for the Kernel to dial the data lane. */
interface Half {
  readonly host: string;
  readonly data: (connection: Connection) => void;
}

/**
 * Waits for the Kernel to dial: a reverse connection. It takes `listen` of a transport and nothing else, so
 * nothing of it can open a connection. The agent says Hello on each connection all the same. The Kernel dials
 * a second time after the Welcome, for the data lane. The same host may dial anew at any time, and the newest
 * session is the one that counts; another host is told that there is a session as long as there is.
 */
export class KernelListener implements LaneMaker {
  readonly #options: ListenOptions;
  #listener: Listener | null = null;
  #lastError: string | null = null;
  #half: Half | null = null;
  /** The one that is being greeted; there is one at a time. */
  #greeting: Channel | null = null;
  #ready: Lanes | null = null;
  #arrived: { promise: Promise<void>; resolve: () => void } = Promise.withResolvers<void>();
  #presentHost: string | null = null;
  readonly #stop = new AbortController();

  constructor(options: ListenOptions) {
    this.#options = options;
  }

  /** Where it listens; with the port that the system chose if the file says 0. */
  get address(): Address {
    return this.#listener?.address ?? this.#options.address;
  }

  get paths(): readonly PathStatus[] {
    const state = this.#listener === null ? 'waits' : this.#presentHost === null ? 'listens' : 'in-use';
    return [{ address: formatAddress(this.address), localAddress: null, state, lastError: this.#lastError }];
  }

  async open(signal: AbortSignal): Promise<Lanes> {
    while (this.#listener === null) await this.#listen(signal);
    while (this.#ready === null) {
      signal.throwIfAborted();
      await abortable(this.#arrived.promise, signal);
    }
    const lanes = this.#ready;
    this.#ready = null;
    this.#presentHost = hostOf(lanes.control.remote);
    return lanes;
  }

  ended(): void {
    this.#presentHost = null;
  }

  async better(signal: AbortSignal): Promise<string> {
    while (this.#ready === null) await abortable(this.#arrived.promise, signal);
    return 'the Kernel dialled anew';
  }

  /** The Kernel that is hot dials. */
  async watch(): Promise<void> {}

  async #listen(signal: AbortSignal): Promise<void> {
    const { transport, address, clock, log, tls } = this.#options;
    try {
      const options = tls === undefined ? {} : { tls };
      const listener = await transport.listen(address, (connection) => this.#accept(connection), options);
      this.#listener = listener;
      this.#lastError = null;
      log.info({ address: formatAddress(listener.address) }, 'waiting for the Kernel to dial');
      const close = (): void => {
        this.#stop.abort();
        void listener.close();
      };
      signal.addEventListener('abort', close, { once: true });
    } catch (error) {
      this.#note(formatAddress(address), error);
      await clock.sleep(LISTEN_RETRY_MS, signal);
    }
  }

  #accept(connection: Connection): void {
    const { allowFrom, log, clock } = this.#options;
    const host = hostOf(connection.remote);
    if (this.#stop.signal.aborted || (allowFrom.length > 0 && !isInRanges(host, allowFrom))) {
      log.warn({ remote: connection.remote }, 'refused: not an address that the Kernel may come from');
      connection.destroy();
      return;
    }
    if (this.#half?.host === host) {
      this.#half.data(connection);
      return;
    }
    const greeted = this.#greeting === null ? null : hostOf(this.#greeting.remote);
    const taken = this.#half?.host ?? greeted ?? this.#presentHost;
    if (taken !== null && taken !== host) {
      log.warn({ remote: connection.remote, session: taken }, 'refused: another Kernel has the session');
      new Channel(connection, clock).bye('replaced', `${taken} has the session with this agent`);
      return;
    }
    this.#greeting?.destroy();
    const control = new Channel(connection, clock);
    this.#greeting = control;
    this.#greet(control)
      .catch((error: unknown) => this.#note(connection.remote, error))
      .finally(() => {
        if (this.#greeting === control) this.#greeting = null;
      });
  }

  /** Both handshakes, with the Kernel dialling in between. */
  async #greet(control: Channel): Promise<void> {
    const { clock, settings } = this.#options;
    const kernel = control.remote;
    const common = { kernel, timeoutMs: settings.connectTimeoutMs, signal: this.#stop.signal };
    const welcome = await greet(control, { ...common, hello: this.#options.hello('control', '') });
    try {
      const data = new Channel(await this.#dataOf(hostOf(kernel)), clock);
      const hello = this.#options.hello('data', welcome.sessionId);
      const { knownDictionaries } = await greet(data, { ...common, hello });
      this.#ready?.control.destroy();
      this.#ready?.data.destroy();
      this.#ready = { control, data, welcome, knownDictionaries, kernel };
    } catch (error) {
      control.destroy();
      throw error;
    }
    this.#lastError = null;
    this.#arrived.resolve();
    this.#arrived = Promise.withResolvers<void>();
  }

  #dataOf(host: string): Promise<Connection> {
    const { clock, settings } = this.#options;
    return new Promise((resolve, reject) => {
      const timer = clock.schedule('data lane', settings.connectTimeoutMs, () => {
        this.#half = null;
        const text = `${host} did not dial the data lane within ${settings.connectTimeoutMs} ms`;
        reject(new KomError('KOM_CONNECTION_TIMEOUT', text));
      });
      const data = (connection: Connection): void => {
        timer.cancel();
        this.#half = null;
        resolve(connection);
      };
      this.#half = { host, data };
    });
  }

  #note(kernel: string, error: unknown): void {
    if (this.#stop.signal.aborted) return;
    if (!isKomError(error)) throw error;
    this.#lastError = error.message;
    this.#options.failed(kernel, error);
  }
}

/** `10.0.0.5` of `10.0.0.5:40112`, `::1` of `[::1]:40112`. */
function hostOf(remote: string): string {
  return remote.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
}

function abortable(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
