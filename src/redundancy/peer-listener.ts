import type { PeerAddress } from '../config/model.ts';
import { isKomError, KomError } from '../domain/errors.ts';
import { Admission } from '../uplink/admission.ts';
import { Channel } from '../uplink/channel.ts';
import { EndedConnections } from '../uplink/ended.ts';
import { agreedProtocol, helloOf } from '../uplink/hello.ts';
import { HELLO_TIMEOUT_MS } from '../uplink/limits.ts';
import { type Hello, PROTOCOL_WITH_ACTIVATION } from '../uplink/messages.ts';
import { RefusedConnections } from '../uplink/refused.ts';
import { type Clock, untilAborted } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import {
  type Connection,
  formatAddress,
  type Listener,
  type TlsOptions,
  type Transport,
} from '../world/transport.ts';
import { checkCertificate, checkPeerHello } from './peer-identity.ts';
import type { PeerLink } from './peer-link.ts';

/** An address that is taken is tried again after this time. */
const LISTEN_RETRY_MS = 1000;

export interface PeerListenerOptions {
  /** Where this server is reached. */
  readonly addresses: readonly PeerAddress[];
  readonly programVersion: string;
  /** In the open if not given, and on addresses that the file calls insecure. */
  readonly tls?: TlsOptions;
  readonly transport: Pick<Transport, 'listen'>;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Where a comm server takes the connections of its peers: one listener for each network, for all processes of
 * the server. The Hello says which process is meant. It closes only when the server ends: that nobody listens
 * is how the other one knows that this one is dead.
 */
export class PeerListener {
  readonly #options: PeerListenerOptions;
  readonly #links = new Map<string, PeerLink>();
  readonly #admission = new Admission();
  readonly #channels = new Set<Channel>();
  readonly #open: Listener[] = [];
  readonly #refused: RefusedConnections;
  readonly #ended: EndedConnections;
  readonly #errors = new Map<number, string>();

  constructor(options: PeerListenerOptions) {
    this.#options = options;
    this.#refused = new RefusedConnections(options);
    this.#ended = new EndedConnections({ ...options, what: 'peer connection' });
  }

  /** Why it does not listen on an address, by number; empty where all is well. */
  get errors(): ReadonlyMap<number, string> {
    return this.#errors;
  }

  /** Connections that name the process of this link go to it from now on. */
  add(link: PeerLink): void {
    this.#links.set(link.members.own.process, link);
  }

  /** Resolves after the signal, when nothing listens any more. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#options.addresses.map((_, network) => this.#listen(network, signal)));
    for (const channel of this.#channels) channel.destroySoon();
    await Promise.all(this.#open.map((listener) => listener.close()));
  }

  async #listen(network: number, signal: AbortSignal): Promise<void> {
    const { addresses, transport, clock, log, tls } = this.#options;
    const own = addresses[network];
    while (own !== undefined && !signal.aborted) {
      try {
        const listener = await transport.listen(
          own.listen,
          (connection) => this.#accept(connection, network),
          {
            ...(tls === undefined || own.insecure ? {} : { tls }),
            refused: (refusal) => this.#refused.take(refusal),
          },
        );
        this.#open.push(listener);
        this.#errors.delete(network);
        log.info({ address: formatAddress(listener.address) }, 'waiting for the peer');
        await untilAborted(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!isKomError(error)) throw error;
        if (!this.#errors.has(network)) {
          const address = formatAddress(own.listen);
          log.error({ address, code: error.code, error: error.message }, 'the peer cannot connect here');
        }
        this.#errors.set(network, error.message);
        await clock.sleep(LISTEN_RETRY_MS, signal).catch(() => {});
      }
    }
  }

  #accept(connection: Connection, network: number): void {
    const channel = new Channel(connection, this.#options.clock);
    const { remote } = channel;
    const refusal = this.#admission.enter(remote);
    if (refusal !== null) {
      this.#ended.refuse(channel, refusal);
      return;
    }
    this.#channels.add(channel);
    this.#serve(channel, network)
      .catch((error: unknown) => this.#ended.end(channel, error))
      .finally(() => {
        this.#admission.leave(remote);
        this.#channels.delete(channel);
        channel.destroySoon();
      });
  }

  async #serve(channel: Channel, network: number): Promise<void> {
    const { programVersion, clock } = this.#options;
    const hello = await this.#helloOf(channel);
    if (hello === null) return;
    const protocol = agreedProtocol(hello, PROTOCOL_WITH_ACTIVATION);
    const link = this.#links.get(hello.process);
    if (link === undefined) {
      throw new KomError('KOM_AGENT_UNKNOWN', `a peer of ${hello.site}/${hello.process}`, {
        expected: `one of ${[...this.#links.keys()].join(', ') || 'no process'}`,
      });
    }
    const { own, peer } = link.members;
    checkPeerHello(hello, own, peer);
    checkCertificate(channel.peerCertificate, peer);
    channel.established();
    const { pace, sessionId } = link.welcomeOf(hello);
    await channel.send({
      type: 'welcome',
      welcome: {
        ...{ protocol, programVersion, sessionId, ...pace, wallUs: clock.wallUs() },
        ...{ coverage: [], knownDictionaries: [], kernelEpoch: 0 },
      },
    });
    await link.serve(channel, { network, runId: hello.sessionId, pace });
  }

  /** `null`: it only wanted to know whether somebody listens. */
  async #helloOf(channel: Channel): Promise<Hello | null> {
    try {
      const message = await channel.receiveWithin(HELLO_TIMEOUT_MS);
      return message === null ? null : helloOf(message, channel.remote);
    } catch (error) {
      if (isKomError(error, 'KOM_CONNECTION_LOST')) return null;
      throw error;
    } finally {
      this.#admission.greeted(channel.remote);
    }
  }
}
