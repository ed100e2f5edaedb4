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
import { greet, type Lanes } from './greet.ts';
import type { LaneMaker, MakeHello, NamedKernels, PathStatus } from './lane-maker.ts';

/** An address that is taken is tried again after this time. */
const LISTEN_RETRY_MS = 2000;

export interface ListenOptions {
  readonly address: Address;
  readonly allowFrom: NamedKernels['allowFrom'];
  readonly tls?: TlsOptions | undefined;
  readonly hello: MakeHello;
  readonly settings: UplinkSettings;
  readonly transport: Pick<Transport, 'listen'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Told of each connection that came to nothing. */
  readonly failed: (kernel: string, error: KomError) => void;
  /** Another Kernel says that it is hot, in this epoch. @throws KomError for an epoch that was overtaken */
  readonly heard?: (epoch: number) => Promise<void>;
}

/** A connection that has the Welcome of its control lane and waits for the Kernel to dial the data lane. */
interface Half {
  readonly host: string;
  readonly data: (connection: Connection) => void;
  readonly giveUp: (why: string) => void;
}

const NO_ERROR = { lastError: null, failedUs: null };
const NOT_ALLOWED = 'the site file does not allow its address any more';

/**
 * Waits for the Kernel to dial: a reverse connection. It takes `listen` of a transport and nothing else, so
 * nothing of it can open a connection. The agent says Hello on each connection all the same. The Kernel dials
 * a second time after the Welcome, for the data lane. The same host may dial anew at any time, and the newest
 * session is the one that counts. Another host is asked who is hot as long as there is a session: if it is
 * that itself, in a later epoch, it takes the place of the session when it dials again, however alive that
 * one seems; else it is told that there is one.
 */
export class KernelListener implements LaneMaker {
  readonly #options: ListenOptions;
  #allowFrom: NamedKernels['allowFrom'];
  #listener: Listener | null = null;
  #lastError: Pick<PathStatus, 'lastError' | 'failedUs'> = NO_ERROR;
  #half: Half | null = null;
  /** The one that is being greeted; there is one at a time. */
  #greeting: Channel | null = null;
  #ready: Lanes | null = null;
  #arrived: { promise: Promise<void>; resolve: () => void } = Promise.withResolvers<void>();
  /** Of the session: where its Kernel is, and the epoch of that. */
  #presentHost: string | null = null;
  #presentEpoch = 0;
  /** Who dials beside the session and is asked who is hot; there is one at a time. */
  #asked: Channel | null = null;
  /** It said that it is hot in a later epoch. */
  #successor: string | null = null;
  readonly #stop = new AbortController();

  constructor(options: ListenOptions) {
    this.#options = options;
    this.#allowFrom = options.allowFrom;
  }

  /** Where it listens; with the port that the system chose if the file says 0. */
  get address(): Address {
    return this.#listener?.address ?? this.#options.address;
  }

  get paths(): readonly PathStatus[] {
    const state = this.#listener === null ? 'waits' : this.#presentHost === null ? 'listens' : 'in-use';
    const address = formatAddress(this.address);
    return [{ address, localAddress: null, state, heardSinceUs: null, ...this.#lastError }];
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
    this.#presentEpoch = lanes.welcome.kernelEpoch;
    this.#successor = null;
    return lanes;
  }

  ended(): void {
    this.#presentHost = null;
  }

  async better(signal: AbortSignal): Promise<string> {
    while (this.#ready === null) {
      if (!this.#isAllowed(this.#presentHost)) return NOT_ALLOWED;
      await abortable(this.#arrived.promise, signal);
    }
    return 'the Kernel dialled anew';
  }

  change({ allowFrom }: Pick<NamedKernels, 'allowFrom'>): void {
    this.#allowFrom = allowFrom;
    const { control, data } = this.#ready ?? {};
    if (control !== undefined && !this.#isAllowed(hostOf(control.remote))) {
      control.destroy();
      data?.destroy();
      this.#ready = null;
    }
    if (this.#greeting !== null && !this.#isAllowed(hostOf(this.#greeting.remote))) this.#greeting.destroy();
    if (this.#half !== null && !this.#isAllowed(this.#half.host)) this.#half.giveUp(NOT_ALLOWED);
    this.#wake();
  }

  /** The Kernel that is hot dials. */
  async watch(): Promise<void> {}

  async #listen(signal: AbortSignal): Promise<void> {
    const { transport, address, clock, log, tls } = this.#options;
    try {
      const options = tls === undefined ? {} : { tls };
      const listener = await transport.listen(address, (connection) => this.#accept(connection), options);
      this.#listener = listener;
      this.#lastError = NO_ERROR;
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
    const { log, clock } = this.#options;
    const host = hostOf(connection.remote);
    if (this.#stop.signal.aborted || !this.#isAllowed(host)) {
      log.warn({ remote: connection.remote }, 'refused: not an address that the Kernel may come from');
      connection.destroy();
      return;
    }
    if (this.#half?.host === host) {
      this.#half.data(connection);
      return;
    }
    const control = new Channel(connection, clock);
    const greeted = this.#greeting === null ? null : hostOf(this.#greeting.remote);
    const taken = this.#half?.host ?? greeted ?? this.#presentHost;
    if (taken !== null && taken !== host) {
      const isBeside = this.#half === null && greeted === null;
      const isOtherAsked = this.#asked !== null && hostOf(this.#asked.remote) !== host;
      if (!isBeside || isOtherAsked) {
        this.#refuse(control, taken);
        return;
      }
      if (host !== this.#successor) {
        this.#ask(control, taken).catch((error: unknown) => this.#note(control.remote, error));
        return;
      }
    }
    this.#greeting?.destroy();
    this.#greeting = control;
    this.#greet(control)
      .catch((error: unknown) => this.#note(connection.remote, error))
      .finally(() => {
        if (this.#greeting === control) this.#greeting = null;
      });
  }

  /** Who dials beside a session is heard: it may be hot, and the other end of the session not any more. */
  async #ask(channel: Channel, taken: string): Promise<void> {
    this.#asked?.destroy();
    this.#asked = channel;
    try {
      const epoch = await this.#hotEpoch(channel);
      if (epoch <= this.#presentEpoch) {
        this.#refuse(channel, taken);
        return;
      }
      await this.#options.heard?.(epoch);
      this.#successor = hostOf(channel.remote);
      const kernel = channel.remote;
      this.#options.log.info({ kernel, epoch, session: taken }, 'another Kernel is hot: it may dial again');
      channel.bye('stopping', 'the agent takes a session now');
    } finally {
      if (this.#asked === channel) this.#asked = null;
      channel.destroySoon();
    }
  }

  /** The epoch in which it is hot and takes sessions; 0: it does not. */
  async #hotEpoch(channel: Channel): Promise<number> {
    const { settings, hello } = this.#options;
    const timeoutMs = settings.connectTimeoutMs;
    const how = { kernel: channel.remote, timeoutMs, signal: this.#stop.signal };
    await greet(channel, { ...how, hello: hello('watch', '') });
    const message = await channel.receiveWithin(timeoutMs);
    return message?.type === 'kernelWord' && message.word.takesSessions ? message.word.reign.epoch : 0;
  }

  #refuse(channel: Channel, taken: string): void {
    const { log } = this.#options;
    log.warn({ remote: channel.remote, session: taken }, 'refused: another Kernel has the session');
    channel.bye('replaced', `${taken} has the session with this agent`);
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
    this.#lastError = NO_ERROR;
    this.#wake();
  }

  /** Whoever waits looks again. */
  #wake(): void {
    this.#arrived.resolve();
    this.#arrived = Promise.withResolvers<void>();
  }

  /** `null`: nobody. */
  #isAllowed(host: string | null): boolean {
    return host === null || this.#allowFrom.length === 0 || isInRanges(host, this.#allowFrom);
  }

  #dataOf(host: string): Promise<Connection> {
    const { clock, settings } = this.#options;
    return new Promise((resolve, reject) => {
      const over = (): void => {
        timer.cancel();
        this.#half = null;
      };
      const giveUp = (why: string): void => {
        over();
        reject(new KomError('KOM_CONNECTION_TIMEOUT', why));
      };
      const timer = clock.schedule('data lane', settings.connectTimeoutMs, () =>
        giveUp(`${host} did not dial the data lane within ${settings.connectTimeoutMs} ms`),
      );
      const data = (connection: Connection): void => {
        over();
        resolve(connection);
      };
      this.#half = { host, data, giveUp };
    });
  }

  #note(kernel: string, error: unknown): void {
    if (this.#stop.signal.aborted) return;
    if (!isKomError(error)) throw error;
    this.#lastError = { lastError: error.message, failedUs: this.#options.clock.wallUs() };
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
