import type { PeerAddress, RedundancySettings } from '../config/model.ts';
import { backoffDelaysMs } from '../domain/backoff.ts';
import { describeError, isKomError, KomError } from '../domain/errors.ts';
import type { HandoverRequest } from '../domain/lease.ts';
import { counterOf } from '../domain/term.ts';
import { Channel } from '../uplink/channel.ts';
import { greet } from '../uplink/greet.ts';
import { checkedCounter } from '../uplink/limits.ts';
import {
  type Hello,
  type PeerWord,
  PROTOCOL_VERSION_MAX,
  PROTOCOL_WITH_ACTIVATION,
} from '../uplink/messages.ts';
import { firstConnection } from '../uplink/race.ts';
import { agreedPace, type Pace } from '../uplink/silence.ts';
import { type Clock, untilAborted } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { mintId, type Random } from '../world/random.ts';
import { type Connection, formatAddress, type TlsOptions, type Transport } from '../world/transport.ts';
import type { MirrorMessage, MirrorPort, MirrorSide } from './mirror-ports.ts';
import { checkCertificate, type MemberIdentity } from './peer-identity.ts';
import { PeerProbe } from './peer-probe.ts';
import { PeerSession } from './peer-session.ts';
import type { PeerPort, PeerSide } from './ports.ts';

/** A network that is back is used within a second. */
const DELAY_MIN_MS = 150;
const DELAY_MAX_MS = 400;
/** An address is dialled so many times side by side, a little apart: the first packets may be lost. */
const TRIES = 3;
const CONNECT_TIMEOUT_MIN_MS = 1000;

export interface PeerLinkOptions {
  readonly own: MemberIdentity;
  readonly peer: MemberIdentity;
  readonly programVersion: string;
  /** Of the site file as it was read last. */
  readonly siteHash: () => string;
  /** Where the peer is reached, one for each network. */
  readonly addresses: readonly PeerAddress[];
  /** Networks over which the peer reaches us, where it dials. */
  readonly networks: number;
  readonly settings: Pick<RedundancySettings, 'peerTimeoutMs' | 'peerHeartbeatMs'>;
  readonly side: PeerSide;
  /** Without it what mirrors say is passed over. */
  readonly mirror?: MirrorSide;
  /** In the open if not given, and on addresses that the file calls insecure. */
  readonly tls?: TlsOptions;
  readonly transport: Pick<Transport, 'connect'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** One network of a peer link, for the status. */
export interface PeerNetworkStatus {
  /** The other end; `null` without a connection. */
  readonly remote: string | null;
  readonly lastError: string | null;
}

/**
 * The link of one instance to the other instance of its process, over all networks between their servers. The
 * instance with the higher number dials; the listener of the server hands in what the other one dials. Words
 * go over every network; what mirrors say goes over the first one that works.
 */
export class PeerLink implements PeerPort, MirrorPort {
  readonly #options: PeerLinkOptions;
  readonly #runId: string;
  readonly #sessions = new Map<number, PeerSession>();
  readonly #errors = new Map<number, string>();
  readonly #probe: PeerProbe;
  readonly #stop = new AbortController();
  #mirrored: PeerSession | null = null;
  #heardMs = Number.NEGATIVE_INFINITY;
  #peerRunId = '';
  #newestUs = 0;
  #sentUs = 0;

  constructor(options: PeerLinkOptions) {
    this.#options = options;
    this.#runId = mintId(options.random);
    this.#probe = new PeerProbe({
      count: options.addresses.length,
      connect: (index, signal) => this.#connect(index, signal),
      clock: options.clock,
    });
  }

  /** Who may say Hello to it. */
  get members(): { readonly own: MemberIdentity; readonly peer: MemberIdentity } {
    return this.#options;
  }

  get heardMs(): number {
    return this.#heardMs;
  }

  get goneMs(): number | null {
    return this.#probe.goneMs;
  }

  get isConnected(): boolean {
    return this.#sessions.size > 0;
  }

  get networks(): readonly PeerNetworkStatus[] {
    const count = this.#isDialling ? this.#options.addresses.length : this.#options.networks;
    return Array.from({ length: count }, (_, network) => ({
      remote: this.#sessions.get(network)?.remote ?? null,
      lastError: this.#errors.get(network) ?? null,
    }));
  }

  get roomBytes(): number {
    return this.#mirrored?.roomBytes ?? 0;
  }

  get bytesPerS(): number | null {
    return this.#mirrored?.bytesPerS ?? null;
  }

  send(message: MirrorMessage): boolean {
    return this.#mirrored?.sendMirror(message) ?? false;
  }

  tellNow(): void {
    for (const session of this.#sessions.values()) session.tell();
  }

  requestHandover(request: HandoverRequest): void {
    const [session] = this.#inOrder();
    session?.handOver(request);
  }

  /** Resolves after the signal, when the connections are closed. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#stop.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    const dialled = this.#isDialling ? this.#options.addresses : [];
    await Promise.all(dialled.map((_, network) => this.#dial(network)));
    await untilAborted(this.#stop.signal);
    this.#probe.stop();
  }

  /** Who answers a Hello, and how. */
  welcomeOf({ heartbeatMs, silenceMaxMs }: Hello): { readonly pace: Pace; readonly sessionId: string } {
    return { pace: agreedPace({ heartbeatMs, silenceMaxMs }), sessionId: this.#runId };
  }

  /**
   * Takes a connection whose handshake is over, until it ends or the link stops.
   * @throws KomError that says why it ended
   */
  async serve(
    channel: Channel,
    how: { readonly network: number; readonly runId: string; readonly pace: Pace },
  ): Promise<void> {
    const { clock, log, side, mirror, peer } = this.#options;
    const { network, runId } = how;
    const session = new PeerSession({
      ...{ channel, runId, pace: how.pace, clock, log },
      word: (receivedBytes) => this.#word(receivedBytes),
      heard: () => this.#heard(runId),
      told: (word) => this.#told(word, runId),
      handover: (request) => side.handover(request),
      mirrored: (message) => this.#isPresent(session) && mirror?.take(message),
      roomed: () => this.#mirrored === session && mirror?.roomed(),
    });
    this.#begin(session, network);
    log.info({ instance: peer.instance, network, remote: channel.remote }, 'peer connected');
    try {
      await session.run(this.#stop.signal);
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    } finally {
      this.#end(session, network);
      log.info({ instance: peer.instance, network, remote: channel.remote }, 'peer disconnected');
    }
  }

  get #isDialling(): boolean {
    return this.#options.own.instance > this.#options.peer.instance;
  }

  #begin(session: PeerSession, network: number): void {
    if (session.runId !== this.#peerRunId) {
      // The process of the peer began anew: what its former run said, or is yet to say, counts no more.
      this.#peerRunId = session.runId;
      this.#newestUs = 0;
      for (const each of [...this.#sessions.values()]) each.replaced();
    }
    this.#sessions.get(network)?.replaced();
    this.#sessions.set(network, session);
    this.#errors.delete(network);
    this.#probe.stop();
    this.#heard(session.runId);
    this.#chooseCarrier();
  }

  #end(session: PeerSession, network: number): void {
    if (this.#sessions.get(network) === session) this.#sessions.delete(network);
    this.#chooseCarrier();
    if (this.#sessions.size > 0 || this.#stop.signal.aborted) return;
    this.#probe.start((error) =>
      this.#options.log.error({ error: describeError(error) }, 'the peer is not looked for any more'),
    );
  }

  /** Mirrors use one network as long as it works. */
  #chooseCarrier(): void {
    const { mirror } = this.#options;
    const sessions = this.#inOrder();
    if (this.#mirrored !== null && sessions.includes(this.#mirrored)) return;
    const wasOpen = this.#mirrored !== null;
    this.#mirrored = sessions[0] ?? null;
    if (wasOpen) mirror?.closed();
    if (this.#mirrored !== null) mirror?.opened();
  }

  /** The peer may still use another network than we do; what it sends over it is taken as well. */
  #isPresent(session: PeerSession): boolean {
    return session.runId === this.#peerRunId;
  }

  #inOrder(): PeerSession[] {
    return [...this.#sessions].sort(([a], [b]) => a - b).map(([, session]) => session);
  }

  #heard(runId: string): void {
    if (runId === this.#peerRunId) this.#heardMs = this.#options.clock.monotonicMs();
  }

  /** Of what comes over several networks only what is newer than all before. */
  #told({ sentUs, echoUs, receivedBytes: _, ...state }: PeerWord, runId: string): void {
    const { side, peer } = this.#options;
    if (runId !== this.#peerRunId || sentUs <= this.#newestUs) return;
    const known = counterOf(side.state().highestTerm);
    for (const term of [state.ownTerm, state.highestTerm]) checkedCounter('term', counterOf(term), known);
    if (echoUs > this.#sentUs) throw new KomError('KOM_PROTOCOL_STATE', 'an echo of what was never said');
    this.#newestUs = sentUs;
    const echoMs = echoUs === 0 ? Number.NEGATIVE_INFINITY : echoUs / 1000;
    side.heard({ ...state, instance: peer.instance }, echoMs);
  }

  #word(receivedBytes: number): PeerWord {
    const { side, clock } = this.#options;
    const { instance: _, ...state } = side.state();
    this.#sentUs = Math.max(this.#sentUs + 1, Math.floor(clock.monotonicMs() * 1000));
    return { ...state, sentUs: this.#sentUs, echoUs: this.#newestUs, receivedBytes };
  }

  /** Until the stop: a connection over one network, again and again. */
  async #dial(network: number): Promise<void> {
    const { clock, random, peer, log } = this.#options;
    const { signal } = this.#stop;
    const newDelays = () =>
      backoffDelaysMs({
        ...{ delayMinMs: DELAY_MIN_MS, delayMaxMs: DELAY_MAX_MS, fraction: () => random.fraction() },
      });
    let delays = newDelays();
    while (!signal.aborted) {
      try {
        await this.#converse(network, () => {
          delays = newDelays();
        });
      } catch (error) {
        if (signal.aborted) return;
        if (!isKomError(error)) throw error;
        const isNews = this.#errors.get(network) !== error.message;
        this.#errors.set(network, error.message);
        const fields = { instance: peer.instance, network, code: error.code, error: error.message };
        if (isNews) log.warn(fields, 'no connection to the peer');
      }
      await clock.sleep(delays.next().value, signal).catch(() => {});
    }
  }

  async #converse(network: number, connected: () => void): Promise<void> {
    const { clock, peer } = this.#options;
    const { signal } = this.#stop;
    let lastError: unknown = null;
    const first = await firstConnection({
      due: Array.from({ length: TRIES }, () => network),
      connect: (index, cancel) => this.#connect(index, cancel),
      failed: (_, error) => {
        lastError = error;
      },
      ...{ clock, signal },
    });
    if (first === null) throw lastError;
    const channel = new Channel(first.connection, clock);
    try {
      checkCertificate(channel.peerCertificate, peer);
      const kernel = `instance ${peer.instance} at ${this.#name(network)}`;
      const timeoutMs = this.#connectTimeoutMs;
      const welcome = await greet(channel, { hello: this.#hello(), kernel, timeoutMs, signal });
      if (welcome.protocol < PROTOCOL_WITH_ACTIVATION) {
        throw new KomError('KOM_PROTOCOL_VERSION', kernel, { got: String(welcome.protocol) });
      }
      connected();
      await this.serve(channel, { network, runId: welcome.sessionId, pace: agreedPace(welcome) });
    } finally {
      channel.destroySoon();
    }
  }

  #hello(): Hello {
    const { own, programVersion, siteHash, settings, side, clock } = this.#options;
    return {
      ...{ protocolMin: PROTOCOL_WITH_ACTIVATION, protocolMax: PROTOCOL_VERSION_MAX, programVersion },
      ...{ ...own, siteHash: siteHash(), lane: 'peer', sessionId: this.#runId, wallUs: clock.wallUs() },
      ...{ streams: [], dictionaryHashes: [], highestKernelEpoch: 0 },
      ...{ heartbeatMs: settings.peerHeartbeatMs, silenceMaxMs: settings.peerTimeoutMs },
      highestTerm: side.state().highestTerm,
    };
  }

  get #connectTimeoutMs(): number {
    return Math.max(CONNECT_TIMEOUT_MIN_MS, this.#options.settings.peerTimeoutMs);
  }

  #connect(network: number, signal: AbortSignal): Promise<Connection> {
    const { transport, tls } = this.#options;
    const { address, insecure } = this.#addressOf(network);
    const secured = tls === undefined || insecure ? {} : { tls };
    return transport.connect(address, { timeoutMs: this.#connectTimeoutMs, signal, ...secured });
  }

  #name(network: number): string {
    return formatAddress(this.#addressOf(network).address);
  }

  #addressOf(network: number): PeerAddress {
    const address = this.#options.addresses[network];
    if (address === undefined) throw new RangeError(`there is no network ${network}`);
    return address;
  }
}
