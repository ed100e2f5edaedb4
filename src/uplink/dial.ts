import type { KernelAddress, UplinkSettings } from '../config/model.ts';
import { backoffDelaysMs } from '../domain/backoff.ts';
import { isKomError, type KomError } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';
import type { Random } from '../world/random.ts';
import { type Connection, formatAddress, type TlsOptions, type Transport } from '../world/transport.ts';
import { AddressChoice } from './address-choice.ts';
import { Channel } from './channel.ts';
import { greet, type Lanes } from './greet.ts';
import type { Hello, Lane } from './messages.ts';
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
}

/** Dials the Kernels of the site file: the preferred address if it works, else the next. */
export class KernelDialler implements LaneMaker {
  readonly #options: DialOptions;
  readonly #choice: AddressChoice;
  #present: number | null = null;

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
    const { clock } = this.#options;
    while (true) {
      const first = await nextConnection(this.#choice, {
        connect: (index, cancel) => this.#connect(index, cancel),
        failed: (index, error) => this.#failed(index, error),
        clock,
        signal,
      });
      try {
        const lanes = await this.#lanes(first, signal);
        this.#choice.works(first.index, clock.monotonicMs());
        this.#present = first.index;
        return lanes;
      } catch (error) {
        signal.throwIfAborted();
        this.#failed(first.index, error);
      }
    }
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

  async #lanes({ index, connection }: FirstConnection, signal: AbortSignal): Promise<Lanes> {
    const { clock } = this.#options;
    const control = new Channel(connection, clock);
    const welcome = await this.#greet(index, control, { lane: 'control', sessionId: '', signal });
    try {
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
