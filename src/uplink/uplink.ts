import type { HeldStream } from '../buffer/held-streams.ts';
import type { KernelAddress, UplinkSettings } from '../config/model.ts';
import { backoffDelaysMs } from '../domain/backoff.ts';
import type { ClockExchange } from '../domain/clock-exchange.ts';
import { describeError, isKomError, KomError } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import { formatAddress, type Transport } from '../world/transport.ts';
import { Channel } from './channel.ts';
import {
  type Hello,
  type Lane,
  PROTOCOL_VERSION_MAX,
  PROTOCOL_VERSION_MIN,
  type StreamState,
  type Welcome,
} from './messages.ts';
import { Session, type StreamEnd, type UplinkSource } from './session.ts';

/** A session that lasted this long resets the reconnect delay. */
const STABLE_MS = 10_000;

export interface UplinkOptions {
  readonly kernels: readonly KernelAddress[];
  readonly localAddress?: string;
  readonly identity: UplinkIdentity;
  readonly settings: UplinkSettings;
  /** The stores of the agent, the most urgent first. */
  readonly sources: readonly UplinkSource[];
  readonly transport: Transport;
  readonly clock: Clock;
  /** Takes what the heartbeats say of the Kernel's clock. */
  readonly kernelClock?: (exchange: ClockExchange) => void;
  readonly random: Random;
  readonly log: Log;
}

/** Who this side is, for the Hello. */
export interface UplinkIdentity {
  readonly programVersion: string;
  readonly site: string;
  readonly process: string;
  readonly instance: number;
  readonly siteHash: string;
}

/** What the uplink does now, for the status. */
export interface UplinkStatus {
  /** Address of the Kernel, `null` without a session. */
  readonly kernel: string | null;
  /** Wall time of the last change between connected and not, integer µs. */
  readonly sinceUs: number;
  readonly lastError: string | null;
}

/** Keeps a session with one of the Kernels, in the order of the site file, until stopped. */
export class Uplink {
  readonly #options: UplinkOptions;
  #session: Session | null = null;
  #kernel: string | null = null;
  #sinceUs: number;
  #lastError: string | null = null;
  /** Another agent took the session over; who comes back at once would take it back. */
  #isReplaced = false;

  constructor(options: UplinkOptions) {
    this.#options = options;
    this.#sinceUs = options.clock.wallUs();
  }

  get status(): UplinkStatus {
    return { kernel: this.#kernel, sinceUs: this.#sinceUs, lastError: this.#lastError };
  }

  /** Resolves after the signal, when the connections are closed. */
  async run(signal: AbortSignal): Promise<void> {
    const { settings, random, clock, log } = this.#options;
    const newDelays = (): Iterator<number, never> =>
      backoffDelaysMs({
        delayMinMs: settings.reconnectDelayMinMs,
        delayMaxMs: settings.reconnectDelayMaxMs,
        fraction: () => random.fraction(),
      });
    let delays = newDelays();
    while (!signal.aborted) {
      for (const address of this.#options.kernels) {
        const startedMs = clock.monotonicMs();
        await this.#tryKernel(address, signal);
        if (clock.monotonicMs() - startedMs >= STABLE_MS) delays = newDelays();
        if (signal.aborted) break;
      }
      const delayMs = this.#isReplaced ? settings.reconnectDelayMaxMs : delays.next().value;
      log.debug({ delayMs }, 'next try to reach a Kernel');
      await clock.sleep(delayMs, signal).catch(() => undefined);
    }
  }

  /** Tells the Kernel, if there is one, that a running stream ended cleanly. */
  async sendStreamEnd(end: StreamEnd): Promise<void> {
    await this.#session?.sendStreamEnd(end);
  }

  async #tryKernel(address: KernelAddress, signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#options;
    const kernel = formatAddress(address);
    try {
      await this.#converse(address, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!isKomError(error)) throw error;
      this.#isReplaced = error.code === 'KOM_ALREADY_RUNNING';
      if (this.#kernel === null && this.#lastError === error.message) return;
      log.warn({ kernel, code: error.code, error: error.message }, 'no session with the Kernel');
      this.#lastError = error.message;
    } finally {
      if (this.#kernel !== null) this.#sinceUs = clock.wallUs();
      this.#kernel = null;
      this.#session = null;
    }
  }

  async #converse(address: KernelAddress, signal: AbortSignal): Promise<never> {
    const { clock, sources, log } = this.#options;
    const { channel: control, welcome } = await this.#open(
      address,
      { lane: 'control', sessionId: '' },
      signal,
    );
    let data: Channel;
    try {
      const lane = { lane: 'data', sessionId: welcome.sessionId } as const;
      data = (await this.#open(address, lane, signal)).channel;
    } catch (error) {
      control.destroy();
      throw error;
    }
    for (const { streamId, throughSequence } of welcome.coverage) {
      for (const { backlog } of sources) backlog.acknowledge(streamId, throughSequence);
    }
    this.#session = new Session({
      ...this.#options,
      control,
      data,
      streamStates: () => this.#streamStates(),
      coverage: welcome.coverage,
    });
    this.#kernel = formatAddress(address);
    this.#sinceUs = clock.wallUs();
    this.#lastError = null;
    log.info({ kernel: this.#kernel, kernelVersion: welcome.programVersion }, 'session with the Kernel');
    return await this.#session.run(signal);
  }

  async #open(
    address: KernelAddress,
    lane: { lane: Lane; sessionId: string },
    signal: AbortSignal,
  ): Promise<{ channel: Channel; welcome: Welcome }> {
    const { transport, settings, clock, localAddress } = this.#options;
    const connection = await transport.connect(address, {
      timeoutMs: settings.connectTimeoutMs,
      signal,
      ...(localAddress === undefined ? {} : { localAddress }),
    });
    const channel = new Channel(connection, clock);
    const abort = (): void => channel.destroy();
    signal.addEventListener('abort', abort, { once: true });
    try {
      await channel.send({ type: 'hello', hello: this.#hello(lane) });
      const message = await channel.receiveWithin(settings.connectTimeoutMs);
      if (message?.type === 'welcome') {
        channel.established();
        return { channel, welcome: message.welcome };
      }
      throw new KomError('KOM_CONNECTION_REFUSED', `${formatAddress(address)} did not welcome us`, {
        got: message === null ? 'the end of the connection' : describeAnswer(message),
      });
    } catch (error) {
      channel.destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  #hello(lane: { lane: Lane; sessionId: string }): Hello {
    const { identity, clock } = this.#options;
    return {
      ...identity,
      ...lane,
      protocolMin: PROTOCOL_VERSION_MIN,
      protocolMax: PROTOCOL_VERSION_MAX,
      wallUs: clock.wallUs(),
      streams: lane.lane === 'control' ? this.#streamStates() : [],
      ...{ heartbeatMs: 0, silenceMaxMs: 0, dictionaryHashes: [] },
      ...{ highestTerm: 0, highestKernelEpoch: 0 },
    };
  }

  #streamStates(): StreamState[] {
    return this.#options.sources.flatMap((source) =>
      source.backlog.streams().map((stream) => streamState(stream, source)),
    );
  }
}

function streamState(stream: HeldStream, source: UplinkSource): StreamState {
  const { info, held, heldFromUs, endedAtUs, lastSequence } = stream;
  const running = info.streamId === source.streamId;
  return { ...info, held, heldFromUs, producedTo: lastSequence ?? source.producedTo(), endedAtUs, running };
}

function describeAnswer(message: { readonly type: string; readonly text?: string }): string {
  return message.text === undefined
    ? `a message ${message.type}`
    : `${message.type}: ${describeError(message.text)}`;
}
