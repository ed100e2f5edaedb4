import type { KernelAddress, UplinkSettings } from '../config/model.ts';
import { backoffDelaysMs } from '../domain/backoff.ts';
import { isKomError, KomError } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import { type Connection, formatAddress, type TlsOptions, type Transport } from '../world/transport.ts';
import { AddressChoice } from './address-choice.ts';
import { Channel } from './channel.ts';
import { greet, type Lanes } from './greet.ts';
import { KernelWatch } from './kernel-watch.ts';
import type { Hello, KernelWord, Lane } from './messages.ts';
import { type FirstConnection, nextConnection } from './race.ts';

/** Makes the Hello of a lane. */
export type MakeHello = (lane: Lane, sessionId: string) => Hello;

/** How lanes to a Kernel come about, whoever dials. */
export interface LaneMaker {
  /** Until there are lanes. @throws the signal's reason */
  open(signal: AbortSignal): Promise<Lanes>;
  /** The session over the last lanes ended; `error`: why, if we did not end it for a better one. */
  ended(end: { readonly error: KomError | null; readonly isStable: boolean }): void;
  /** Beside a session: resolves to why it should give way to better lanes. @throws the signal's reason */
  better(signal: AbortSignal): Promise<string>;
  /** Beside everything, until the signal: hears from other Kernels that they are hot. */
  watch(signal: AbortSignal): Promise<void>;
  /** State of every path. */
  readonly paths: readonly PathStatus[];
}

/** One way to a Kernel, for the status. */
export interface PathStatus {
  readonly address: string;
  /** Where connections leave from; `null`: the system's choice. */
  readonly localAddress: string | null;
  readonly state: 'in-use' | 'answers' | 'waits' | 'listens' | 'unknown';
  readonly lastError: string | null;
}

export interface DialOptions {
  readonly kernels: readonly KernelAddress[];
  /** Name of this server, for its local address on each path. */
  readonly server: string;
  readonly localAddress?: string;
  readonly tls?: TlsOptions;
  readonly hello: MakeHello;
  readonly settings: UplinkSettings;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  /** Told of each try that failed. */
  readonly failed: (kernel: string, error: KomError) => void;
  /** Another Kernel says that it is hot, in this epoch. @throws KomError for an epoch that was overtaken */
  readonly heard?: (epoch: number) => Promise<void>;
  readonly log: Log;
}

/** The same Kernel is not gone to again within this time: it takes a moment to get there. */
const CALL_AGAIN_MS = 2000;

/** Dials the Kernels of the site file: the preferred address if it works, else the next. */
export class KernelDialler implements LaneMaker {
  readonly #options: DialOptions;
  readonly #choice: AddressChoice;
  readonly #watch: KernelWatch;
  #present: number | null = null;
  /** The one that is being greeted, or that there is a session with. */
  #dialled: number | null = null;
  /** Of the session. */
  #epoch = 0;
  /** The Kernel that said last that it is hot. */
  #hot = { index: -1, epoch: 0, atMs: Number.NEGATIVE_INFINITY };
  /** Aborted when another Kernel is hot: whatever goes on gives way. */
  #call = new AbortController();

  constructor(options: DialOptions) {
    this.#options = options;
    const { settings, random, kernels } = options;
    this.#choice = new AddressChoice({
      count: kernels.length,
      returnAfterMs: settings.returnAfterMs,
      newDelaysMs: () =>
        backoffDelaysMs({
          delayMinMs: settings.reconnectDelayMinMs,
          delayMaxMs: settings.reconnectDelayMaxMs,
          fraction: () => random.fraction(),
        }),
    });
    this.#watch = new KernelWatch({
      count: kernels.length,
      present: () => this.#present,
      connect: (index, signal) => this.#connect(index, signal),
      hello: () => options.hello('watch', ''),
      name: (index) => formatAddress(this.#address(index)),
      timeoutMs: settings.connectTimeoutMs,
      told: (index, word) => this.#told(index, word),
      ...{ clock: options.clock, log: options.log },
    });
  }

  get #isAlone(): boolean {
    return this.#options.kernels.length < 2;
  }

  get paths(): readonly PathStatus[] {
    return this.#choice.states.map(({ lastError, reachableSinceMs }, index) => {
      const address = this.#address(index);
      const answers = reachableSinceMs !== null ? 'answers' : lastError !== null ? 'waits' : 'unknown';
      return {
        address: formatAddress(address),
        localAddress: this.#localAddress(address) ?? null,
        state: index === this.#present ? 'in-use' : answers,
        lastError,
      };
    });
  }

  async open(signal: AbortSignal): Promise<Lanes> {
    while (true) {
      signal.throwIfAborted();
      this.#call = new AbortController();
      const call = this.#call.signal;
      const lanes = await this.#open(AbortSignal.any([signal, call]), call);
      if (lanes !== null) return lanes;
    }
  }

  /** `null`: it did not come to a session, or another Kernel is hot. */
  async #open(either: AbortSignal, call: AbortSignal): Promise<Lanes | null> {
    const { clock } = this.#options;
    this.#dialled = null;
    try {
      const first = await nextConnection(this.#choice, {
        connect: (index, cancel) => this.#connect(index, cancel),
        failed: (index, error) => this.#failed(index, error),
        ...{ clock, signal: either },
      });
      this.#dialled = first.index;
      const lanes = await this.#lanes(first, either);
      this.#choice.works(first.index, clock.monotonicMs());
      this.#present = first.index;
      this.#epoch = lanes.welcome.kernelEpoch;
      return lanes;
    } catch (error) {
      if (either.aborted && !call.aborted) throw error;
      const dialled = this.#dialled;
      if (dialled === null && !call.aborted) throw error;
      const why = new KomError('KOM_CONNECTION_REFUSED', 'another Kernel is hot');
      if (dialled !== null) this.#failed(dialled, call.aborted ? why : error);
      return null;
    }
  }

  watch(signal: AbortSignal): Promise<void> {
    return this.#isAlone ? Promise.resolve() : this.#watch.run(signal);
  }

  ended({ error, isStable }: { readonly error: KomError | null; readonly isStable: boolean }): void {
    const index = this.#present;
    this.#present = null;
    if (index === null) return;
    if (isStable) this.#choice.stable(index);
    if (error === null) return;
    const nowMs = this.#options.clock.monotonicMs();
    const isReplaced = error.code === 'KOM_ALREADY_RUNNING';
    if (!isReplaced) this.#choice.failed(index, { nowMs, error: error.message });
    else {
      // Whoever comes back at once, over whatever path, would take the session back.
      const restMs = this.#options.settings.reconnectDelayMaxMs;
      for (const at of this.#options.kernels.keys()) {
        this.#choice.failed(at, { nowMs, error: error.message, restMs });
      }
    }
  }

  async better(signal: AbortSignal): Promise<string> {
    const called = Promise.withResolvers<string>();
    const call = this.#call.signal;
    const tell = (): void => called.resolve('another Kernel is hot');
    call.addEventListener('abort', tell, { once: true });
    if (call.aborted) tell();
    try {
      return await Promise.race([called.promise, this.#preferred(signal)]);
    } finally {
      call.removeEventListener('abort', tell);
    }
  }

  /** Until a better address than the present one answers for long enough. */
  async #preferred(signal: AbortSignal): Promise<string> {
    const { clock, settings } = this.#options;
    while (true) {
      await clock.sleep(settings.probeIntervalMs, signal);
      const present = this.#present ?? 0;
      for (let index = 0; index < present; index++) {
        const error = await this.#probe(index, signal);
        this.#choice.probed(index, clock.monotonicMs(), error);
      }
      const better = this.#choice.better(present, clock.monotonicMs());
      if (better === null) continue;
      this.#choice.chosen(better);
      return `${formatAddress(this.#address(better))} answers again`;
    }
  }

  /** Another Kernel is hot: there, at once. */
  #told(index: number, { takesSessions, reign: { epoch } }: KernelWord): void {
    const { clock, heard } = this.#options;
    const nowMs = clock.monotonicMs();
    const isSame = this.#hot.index === index && this.#hot.epoch === epoch;
    if (!takesSessions || epoch < this.#hot.epoch || this.#isThere(epoch)) return;
    if (isSame && nowMs - this.#hot.atMs < CALL_AGAIN_MS) return;
    this.#hot = { index, epoch, atMs: nowMs };
    const go = async (): Promise<void> => {
      await heard?.(epoch);
      // Meanwhile the session may have come about, or is on its way.
      if (this.#isThere(epoch) || (this.#present === null && this.#dialled === index)) return;
      this.#choice.chosen(index);
      this.#call.abort();
    };
    go().catch((error: unknown) => this.#failed(index, error));
  }

  /** There is a session with whoever is hot in this epoch. */
  #isThere(epoch: number): boolean {
    return this.#present !== null && epoch <= this.#epoch;
  }

  async #lanes({ index, connection }: FirstConnection, signal: AbortSignal): Promise<Lanes> {
    const { clock } = this.#options;
    const control = new Channel(connection, clock);
    const welcome = await this.#greet(index, control, { lane: 'control', sessionId: '', signal });
    try {
      if (welcome.kernelEpoch < this.#hot.epoch) {
        throw new KomError('KOM_CONNECTION_REFUSED', 'the Kernel was overtaken by another one');
      }
      const data = new Channel(await this.#connect(index, signal), clock);
      const { sessionId } = welcome;
      const { knownDictionaries } = await this.#greet(index, data, { lane: 'data', sessionId, signal });
      return { control, data, welcome, knownDictionaries, kernel: formatAddress(this.#address(index)) };
    } catch (error) {
      control.destroy();
      throw error;
    }
  }

  /** Asks whether an address would take a session; `null`: yes, else why not. */
  async #probe(index: number, signal: AbortSignal): Promise<string | null> {
    try {
      const channel = new Channel(await this.#connect(index, signal), this.#options.clock);
      await this.#greet(index, channel, { lane: 'probe', sessionId: '', signal });
      channel.destroy();
      return null;
    } catch (error) {
      signal.throwIfAborted();
      if (!isKomError(error)) throw error;
      return error.message;
    }
  }

  #greet(
    index: number,
    channel: Channel,
    how: { readonly lane: Lane; readonly sessionId: string; readonly signal: AbortSignal },
  ) {
    const { hello, settings } = this.#options;
    return greet(channel, {
      hello: hello(how.lane, how.sessionId),
      kernel: formatAddress(this.#address(index)),
      timeoutMs: settings.connectTimeoutMs,
      signal: how.signal,
    });
  }

  #connect(index: number, signal: AbortSignal): Promise<Connection> {
    const { transport, settings, tls } = this.#options;
    const address = this.#address(index);
    const localAddress = this.#localAddress(address);
    return transport.connect(address, {
      timeoutMs: settings.connectTimeoutMs,
      signal,
      ...(localAddress === undefined ? {} : { localAddress }),
      ...(tls === undefined || address.insecure ? {} : { tls }),
    });
  }

  #failed(index: number, error: unknown): void {
    if (!isKomError(error)) throw error;
    this.#choice.failed(index, { nowMs: this.#options.clock.monotonicMs(), error: error.message });
    this.#options.failed(formatAddress(this.#address(index)), error);
  }

  #localAddress(address: KernelAddress): string | undefined {
    return address.localAddresses[this.#options.server] ?? this.#options.localAddress;
  }

  #address(index: number): KernelAddress {
    const address = this.#options.kernels[index];
    if (address === undefined) throw new RangeError(`there is no Kernel ${index}`);
    return address;
  }
}
