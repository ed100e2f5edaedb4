import type { HeldStream } from '../buffer/held-streams.ts';
import type { KernelAddress, UplinkSettings } from '../config/model.ts';
import type { ClockExchange } from '../domain/clock-exchange.ts';
import { isKomError, type KomError } from '../domain/errors.ts';
import type { LeasePort, LeaseSide } from '../domain/lease.ts';
import { NO_TERM } from '../domain/term.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import { LONG_CONDITION_MS, RecurringLog } from '../world/recurring-log.ts';
import type { TlsOptions, Transport } from '../world/transport.ts';
import type { UplinkMirror } from './block-source.ts';
import { KernelDialler } from './dial.ts';
import { isOrdinaryEnd } from './ended.ts';
import type { SeenEpochs } from './epochs.ts';
import type { Lanes } from './greet.ts';
import type { LaneMaker, NamedKernels, PathStatus } from './lane-maker.ts';
import { LinkHealth } from './link-health.ts';
import { KernelListener } from './listen.ts';
import {
  type Command,
  type CommandResult,
  type Hello,
  type Lane,
  PROTOCOL_VERSION_MAX,
  PROTOCOL_VERSION_MIN,
  PROTOCOL_WITH_ACTIVATION,
  type StreamState,
} from './messages.ts';
import { namedStreams } from './named-streams.ts';
import { Session, type StreamEnd, type UplinkSource } from './session.ts';
import { agreedPace } from './silence.ts';

export interface UplinkOptions {
  readonly kernels: readonly KernelAddress[];
  /** Name of this comm server, which may have its own addresses on each path. */
  readonly server: string;
  readonly localAddress?: string;
  /** How connections to the Kernel are secured; in the open if not given. */
  readonly tls?: TlsOptions;
  readonly identity: UplinkIdentity;
  readonly settings: UplinkSettings;
  /** The stores of the agent, the most urgent first. */
  readonly sources: readonly UplinkSource[];
  /** What is held of another instance; a Kernel of version 1 is not told of it. */
  readonly mirror?: UplinkMirror;
  readonly transport: Transport;
  readonly clock: Clock;
  /** Claims the lease of a process that several servers run, and hears what the Kernel says to it. */
  readonly lease?: LeaseSide;
  /**
   * Up to when everything that was observed is numbered, integer µs: an instance that stands by stays where
   * it was. Without it: now.
   */
  readonly observedUntilUs?: () => number;
  /** Takes what the heartbeats say of the Kernel's clock. */
  readonly kernelClock?: (exchange: ClockExchange) => void;
  readonly random: Random;
  readonly log: Log;
  /** Streams of one store that a Hello names at most; see named-streams.ts. */
  readonly namedStreamsMax?: number;
  /** Epochs of Kernels that were seen; without it none is remembered. */
  readonly epochs?: SeenEpochs;
  /** Carries out what an operator asks for through the Kernel; without it commands are a breach. */
  readonly commands?: (command: Command) => Promise<CommandResult>;
}

/** Who this side is, for the Hello. */
export interface UplinkIdentity {
  readonly programVersion: string;
  readonly site: string;
  readonly process: string;
  readonly instance: number;
  readonly siteHash: string;
}

/** What of the site file an uplink follows while it runs. */
export interface UplinkChange extends NamedKernels {
  readonly siteHash: string;
}

/** What the uplink does now, for the status. */
export interface UplinkStatus {
  /** Address of the Kernel, `null` without a session. */
  readonly kernel: string | null;
  /** Wall time of the last change between connected and not, integer µs. */
  readonly sinceUs: number;
  readonly lastError: string | null;
  /** The session is watched for so long before it counts, because the link flaps; 0: it counts. */
  readonly heldForMs: number;
  /** Sessions in a row that ended before they were stable. */
  readonly shortSessions: number;
  /** What the link carries, bytes a second; `null` while unknown. */
  readonly bytesPerS: number | null;
  /** The catch-up is slower than `minRate`: live values give way. */
  readonly isBelowMinRate: boolean;
  /** Each way to a Kernel, the preferred one first. */
  readonly paths: readonly PathStatus[];
}

/** Keeps a session with a Kernel until stopped, whoever dials. */
export class Uplink implements LeasePort {
  readonly #options: UplinkOptions;
  readonly #lanes: LaneMaker;
  readonly #health: LinkHealth;
  #siteHash: string;
  #session: Session | null = null;
  #kernel: string | null = null;
  #sinceUs: number;
  #lastError: string | null = null;
  readonly #failures: RecurringLog;
  /** What the Hello of the session named, where that is not all. */
  #part: ReadonlySet<string> | null = null;

  constructor(options: UplinkOptions) {
    this.#options = options;
    this.#sinceUs = options.clock.wallUs();
    this.#health = new LinkHealth(options.settings);
    this.#failures = new RecurringLog({ ...options, everyMs: LONG_CONDITION_MS });
    this.#siteHash = options.identity.siteHash;
    const { listen } = options.settings;
    const common = {
      ...options,
      hello: (lane: Lane, sessionId: string) => this.#hello(lane, sessionId),
      failed: (kernel: string, error: KomError) => this.#failed(kernel, error),
      heard: async (epoch: number) => await options.epochs?.met(epoch),
    };
    this.#lanes =
      listen === undefined
        ? new KernelDialler(common)
        : new KernelListener({
            ...(listen.insecure ? { ...common, tls: undefined } : common),
            allowFrom: listen.allowFrom,
            address: listen.serverAddresses[options.server] ?? listen.address,
          });
  }

  get status(): UplinkStatus {
    return {
      ...{ kernel: this.#kernel, sinceUs: this.#sinceUs, lastError: this.#lastError },
      heldForMs: this.#health.heldForMs(this.#options.clock.monotonicMs()),
      shortSessions: this.#health.shortSessions,
      bytesPerS: this.#session?.bytesPerS ?? null,
      isBelowMinRate: this.#session?.isBelowMinRate ?? false,
      paths: this.#lanes.paths,
    };
  }

  /** Resolves after the signal, when the connections are closed. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#run(signal), this.#lanes.watch(signal)]);
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#converse(await this.#lanes.open(signal), signal);
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }
  }

  /**
   * The site file says something else of the Kernels. A session with one that stays goes on; with one that is
   * gone it ends in order, and what is not acknowledged goes to the next one.
   */
  change({ siteHash, ...kernels }: UplinkChange): void {
    this.#siteHash = siteHash;
    this.#lanes.change(kernels);
  }

  renewNow(): void {
    this.#session?.renewLease();
  }

  /** Tells the Kernel, if there is one, that a running stream ended cleanly. */
  async sendStreamEnd(end: StreamEnd): Promise<void> {
    await this.#session?.sendStreamEnd(end);
  }

  /** One session, from the Welcome to its end, for whatever reason. */
  async #converse(lanes: Lanes, signal: AbortSignal): Promise<void> {
    const { clock, sources, log } = this.#options;
    const { welcome } = lanes;
    const holdMs = this.#health.began(clock.monotonicMs());
    try {
      await this.#options.epochs?.met(welcome.kernelEpoch);
    } catch (error) {
      for (const channel of [lanes.data, lanes.control]) channel.destroy();
      this.#ended(lanes.kernel, error);
      return;
    }
    for (const { streamId, throughSequence } of welcome.coverage) {
      for (const { backlog } of sources) backlog.acknowledge(streamId, throughSequence);
    }
    // A Kernel of an older version decides nothing: it counts as none that answers.
    const lease = welcome.protocol >= PROTOCOL_WITH_ACTIVATION ? this.#options.lease : undefined;
    const { mirror, ...options } = this.#options;
    const hasMirrors = mirror !== undefined && welcome.protocol >= PROTOCOL_WITH_ACTIVATION;
    const part = this.#part;
    const isMirrored = (id: string): boolean =>
      hasMirrors && mirror.streams().some(({ streamId }) => streamId === id);
    const end = new AbortController();
    const session = new Session({
      ...options,
      ...(hasMirrors ? { mirror } : {}),
      ...lanes,
      lease,
      streamStates: () => this.#streamStates(),
      part: {
        has: (streamId) => part === null || part.has(streamId) || isMirrored(streamId),
        isOver: () => part !== null && this.#hasNextPart(part),
        over: () => {
          log.info({ kernel: lanes.kernel }, 'the next streams of the chain get a session of their own');
          end.abort();
        },
      },
      coverage: welcome.coverage,
      pace: agreedPace(welcome),
      holdMs,
    });
    this.#session = session;
    this.#kernel = lanes.kernel;
    this.#sinceUs = clock.wallUs();
    this.#lastError = null;
    this.#failures.over();
    const { programVersion: kernelVersion } = welcome;
    log.info({ kernel: this.#kernel, kernelVersion, holdMs }, 'session with the Kernel');
    const stop = (): void => end.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    const move = this.#lanes.better(end.signal).then((why) => {
      log.info({ kernel: lanes.kernel, why }, 'the session gives way');
      end.abort();
    });
    move.catch((error: unknown) => end.abort(error));
    let failure: unknown = null;
    lease?.sessionChanged(true);
    try {
      await session.run(end.signal);
    } catch (error) {
      failure = end.signal.aborted ? null : error;
    } finally {
      end.abort();
      signal.removeEventListener('abort', stop);
      lease?.sessionChanged(false);
      this.#ended(lanes.kernel, failure);
    }
  }

  #ended(kernel: string, failure: unknown): void {
    const { clock } = this.#options;
    const error = isKomError(failure) ? failure : null;
    const isStable = this.#health.ended(clock.monotonicMs(), failure === null);
    this.#lanes.ended({ error, isStable });
    if (error !== null) this.#failed(kernel, error);
    this.#kernel = null;
    this.#session = null;
    this.#sinceUs = clock.wallUs();
    if (failure !== null && error === null) throw failure;
  }

  #failed(kernel: string, error: KomError): void {
    const level = isOrdinaryEnd(error) ? 'info' : 'warn';
    const fields = { kernel, code: error.code, error: error.message };
    this.#failures.say(level, `${kernel} ${error.message}`, fields, 'no session with the Kernel');
    if (this.#kernel === null || this.#kernel === kernel) this.#lastError = error.message;
  }

  #hello(lane: Lane, sessionId: string): Hello {
    const { identity, clock, settings, sources, lease } = this.#options;
    const isControl = lane === 'control';
    if (isControl) this.#part = this.#partOfChains();
    const isPartial = isControl && this.#part !== null;
    return {
      ...identity,
      ...{ siteHash: this.#siteHash, lane, sessionId },
      protocolMin: PROTOCOL_VERSION_MIN,
      protocolMax: PROTOCOL_VERSION_MAX,
      wallUs: clock.wallUs(),
      streams: isControl ? this.#streamStates() : [],
      ...(isPartial ? { isPartial } : {}),
      ...{
        highestTerm: lease?.claim().highestTerm ?? NO_TERM,
        highestKernelEpoch: this.#options.epochs?.highest ?? 0,
      },
      heartbeatMs: settings.heartbeatMs,
      silenceMaxMs: settings.silenceMaxMs,
      dictionaryHashes: lane === 'data' ? sources.map(({ dictionaryHash }) => dictionaryHash) : [],
    };
  }

  /** Streams that a Hello names now; `null`: all. */
  #partOfChains(): ReadonlySet<string> | null {
    const { sources, namedStreamsMax } = this.#options;
    const chains = sources.map(({ backlog }) => backlog.streams());
    const parts = chains.map((chain) => namedStreams(chain, namedStreamsMax));
    if (parts.every((part, at) => part.length === chains[at]?.length)) return null;
    return new Set(parts.flat().map(({ info }) => info.streamId));
  }

  /** Another Hello would name streams that are due and that this part does not have. */
  #hasNextPart(part: ReadonlySet<string>): boolean {
    const { sources, namedStreamsMax } = this.#options;
    return sources.some(({ backlog }) => {
      const named = namedStreams(backlog.streams(), namedStreamsMax);
      return named.some(({ info, isDue }) => isDue && !part.has(info.streamId));
    });
  }

  #streamStates(): StreamState[] {
    const part = this.#part;
    return this.#options.sources.flatMap((source) => {
      const chain = source.backlog.streams();
      const named = part === null ? chain : chain.filter(({ info }) => part.has(info.streamId));
      return namedStreams(named, named.length).map((stream) => streamState(stream, source));
    });
  }
}

function streamState(stream: HeldStream, source: UplinkSource): StreamState {
  const { info, held, heldFromUs, endedAtUs, lastSequence } = stream;
  const running = info.streamId === source.streamId;
  return { ...info, held, heldFromUs, producedTo: lastSequence ?? source.producedTo(), endedAtUs, running };
}
