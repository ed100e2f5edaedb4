import type { DialledAgent } from '../config/model/kernel.ts';
import { backoffDelaysMs } from '../domain/backoff.ts';
import { describeError, isKomError, KomError } from '../domain/errors.ts';
import { AddressChoice } from '../uplink/address-choice.ts';
import type { Hello } from '../uplink/messages.ts';
import { type FirstConnection, nextConnection } from '../uplink/race.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import { type Connection, formatAddress, type TlsOptions, type Transport } from '../world/transport.ts';
import type { DialledConnection } from './server-options.ts';

/** The first pause between two tries is this part of the longest one. */
const RETRY_PARTS = 4;
/** A standby looks at this pace whether it is hot now. */
const UNWANTED_MS = 250;
/** A session that lasted this long begins with short pauses again. */
const STABLE_MS = 10_000;

export interface AgentDiallerOptions {
  readonly agent: DialledAgent;
  readonly accept: (connection: Connection, dialled: DialledConnection) => void;
  /** Of several Kernels only the hot one dials. */
  readonly isWanted: () => boolean;
  readonly tls?: TlsOptions;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** How it goes with an agent that this Kernel dials. */
export interface DialledStatus {
  readonly site: string;
  readonly process: string;
  readonly addresses: readonly {
    readonly address: string;
    readonly isInUse: boolean;
    readonly lastError: string | null;
  }[];
}

/**
 * Reverse connection: dials one agent that opens no connection itself, for as long as the Kernel runs. What
 * comes after is the same as when an agent dials; only the data lane has to be dialled, too.
 */
export class AgentDialler {
  readonly #options: AgentDiallerOptions;
  readonly #choice: AddressChoice;
  #present: number | null = null;
  /** When the agent asked last who is hot. */
  #askedMs = Number.NEGATIVE_INFINITY;

  constructor(options: AgentDiallerOptions) {
    this.#options = options;
    const { agent, random } = options;
    this.#choice = new AddressChoice({
      addresses: [...agent.addresses.keys()],
      returnAfterMs: Number.POSITIVE_INFINITY,
      newDelaysMs: () =>
        backoffDelaysMs({
          delayMinMs: agent.retryMs / RETRY_PARTS,
          delayMaxMs: agent.retryMs,
          fraction: () => random.fraction(),
        }),
    });
  }

  get status(): DialledStatus {
    const { site, process } = this.#options.agent;
    const addresses = this.#choice.states.map(({ lastError }, index) => ({
      address: this.#name(index),
      isInUse: index === this.#present,
      lastError,
    }));
    return { site, process, addresses };
  }

  /** Until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      try {
        while (!this.#options.isWanted()) await clock.sleep(UNWANTED_MS, signal);
        const first = await nextConnection(this.#choice, {
          connect: (index, cancel) => this.#connect(index, cancel),
          failed: (index, error) => this.#failed(index, error),
          clock,
          signal,
        });
        await this.#serve(first, signal);
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }
  }

  /** One session, over connections that this side dialled. */
  async #serve({ index, connection }: FirstConnection, signal: AbortSignal): Promise<void> {
    const { clock, accept } = this.#options;
    const startedMs = clock.monotonicMs();
    const over = Promise.withResolvers<unknown>();
    const stop = (): void => over.resolve(null);
    signal.addEventListener('abort', stop, { once: true });
    let isAsked = false;
    accept(connection, {
      check: (hello) => {
        this.#check(hello);
        isAsked = hello.lane === 'watch';
      },
      welcomed: () => {
        this.#present = index;
        this.#choice.works(index, clock.monotonicMs());
        this.#dialData(index, signal).catch((error: unknown) => {
          connection.destroy();
          over.resolve(error);
        });
      },
      over: (error) => over.resolve(error),
    });
    const error = await over.promise;
    signal.removeEventListener('abort', stop);
    this.#present = null;
    if (clock.monotonicMs() - startedMs >= STABLE_MS) this.#choice.stable(index);
    if (signal.aborted) return;
    if (isAsked) this.#asked(index);
    else this.#failed(index, error ?? new KomError('KOM_CONNECTION_LOST', this.#name(index)));
  }

  /** The agent has a session with another Kernel, and knows now who is hot: it may want one with this one. */
  #asked(index: number): void {
    const { clock, agent } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#failed(index, new KomError('KOM_CONNECTION_REFUSED', 'the agent has a session already'));
    if (nowMs - this.#askedMs >= agent.retryMs) this.#choice.chosen(index);
    this.#askedMs = nowMs;
  }

  async #dialData(index: number, signal: AbortSignal): Promise<void> {
    const connection = await this.#connect(index, signal);
    const check = (hello: Hello): void => this.#check(hello);
    this.#options.accept(connection, { check, welcomed: () => {}, over: () => {} });
  }

  /** Somebody else at that address is not welcome, however right the Hello is. */
  #check({ site, process, instance }: Hello): void {
    const { agent } = this.#options;
    const isRight =
      site === agent.site &&
      process === agent.process &&
      (agent.instance === undefined || instance === agent.instance);
    if (isRight) return;
    throw new KomError('KOM_PROTOCOL_STATE', 'another agent answers at this address', {
      expected: `${agent.site}/${agent.process}`,
      got: `${site}/${process} instance ${instance}`,
    });
  }

  #connect(index: number, signal: AbortSignal): Promise<Connection> {
    const { agent, transport, tls } = this.#options;
    const { localAddress, connectTimeoutMs: timeoutMs } = agent;
    const address = agent.addresses[index];
    if (address === undefined) throw new RangeError(`there is no address ${index}`);
    return transport.connect(address, {
      ...{ timeoutMs, signal },
      ...(localAddress === undefined ? {} : { localAddress }),
      ...(tls === undefined ? {} : { tls }),
    });
  }

  #failed(index: number, error: unknown): void {
    const { agent, clock, log } = this.#options;
    if (!isKomError(error)) throw error;
    const address = this.#name(index);
    const isNews = this.#choice.states[index]?.lastError !== error.message;
    this.#choice.failed(index, { nowMs: clock.monotonicMs(), error: error.message });
    if (!isNews) return;
    const { site, process } = agent;
    log.warn(
      { site, process, address, error: describeError(error) },
      'no session with an agent to be dialled',
    );
  }

  #name(index: number): string {
    const address = this.#options.agent.addresses[index];
    return address === undefined ? '' : formatAddress(address);
  }
}
