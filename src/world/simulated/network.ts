import { KomError } from '../../domain/errors.ts';
import { type CertificateFacts, readCertificate } from '../certificate.ts';
import type { Clock } from '../clock.ts';
import {
  type Address,
  type Connection,
  type ConnectOptions,
  formatAddress,
  type Listener,
  type ListenOptions,
  type TlsOptions,
  type Transport,
} from '../transport.ts';
import { type ConnectionPair, createPair } from './connection.ts';
import type { Path } from './pipe.ts';
import type { SimulatedRandom } from './random.ts';

/** What the way between two hosts is like, the same in both directions. */
export interface LinkSettings {
  /** One way. */
  readonly latencyMs: number;
  /** Shared by all connections of the two hosts, in each direction; infinite if there is no limit. */
  readonly bytesPerSecond: number;
}

export interface NetworkSetup {
  readonly clock: Clock;
  readonly random: SimulatedRandom;
  /** Of links that `setLink` did not set; 1 ms and no limit of rate if not given. */
  readonly defaultLink?: LinkSettings;
}

/**
 * `hang`: packets vanish, both sides see silence, and TCP delivers what is left once the link is back.
 * `reset`: every connection over it breaks at once and no new one is possible.
 */
export type CutKind = 'hang' | 'reset';

type Accept = (connection: Connection) => void;

interface OpenListener {
  readonly accept: Accept;
  readonly options: ListenOptions;
}

interface NetworkPath extends Path {
  latencyMs: number;
  bytesPerSecond: number;
  isCut: boolean;
  /** Handshakes and resets that wait for the link to come back. */
  held: (() => void)[];
}

interface OpenPair extends ConnectionPair {
  readonly hosts: readonly [string, string];
}

const DEFAULT_LINK: LinkSettings = { latencyMs: 1, bytesPerSecond: Number.POSITIVE_INFINITY };
const OWN_NAMES = new Set(['localhost', '127.0.0.1', '::1', '0.0.0.0', '::']);
const FIRST_FREE_PORT = 40_000;

/**
 * A network of named hosts on virtual time. Bytes of a connection arrive in order or not at all, split and
 * joined at random places. Faults: latency, limited rate, a cut that hangs or resets, refused connections,
 * a connection that breaks at a chosen byte, a host whose process dies. Order between connections is free.
 */
export class SimulatedNetwork {
  readonly #setup: NetworkSetup;
  readonly #paths = new Map<string, NetworkPath>();
  readonly #listeners = new Map<string, OpenListener>();
  readonly #refused = new Set<string>();
  readonly #off = new Set<string>();
  readonly #resetLinks = new Set<string>();
  readonly #breakNext = new Map<string, number>();
  readonly #open = new Set<OpenPair>();
  #nextPort = FIRST_FREE_PORT;

  constructor(setup: NetworkSetup) {
    this.#setup = setup;
  }

  /** The transport of one host. Its loopback names and its Unix sockets lead to itself without latency. */
  host(name: string): Transport {
    return {
      connect: (address, options) => {
        const to = OWN_NAMES.has(address.host) ? name : address.host;
        const goal = { to, key: key(to, String(address.port)), name: formatAddress(address) };
        return this.#connect(name, goal, options);
      },
      connectLocal: (path, options) =>
        this.#connect(name, { to: name, key: key(name, path), name: path }, options),
      listen: async (address, accept, options = {}) => this.#listen(name, address, { accept, options }),
      listenLocal: async (path, accept) => {
        if (this.#listeners.has(key(name, path))) throw new KomError('KOM_ALREADY_RUNNING', path);
        return this.#listener(key(name, path), { host: path, port: 0 }, { accept, options: {} });
      },
    };
  }

  /** Changes the link between two hosts, also for what is sent on open connections from now on. */
  setLink(one: string, other: string, settings: Partial<LinkSettings>): void {
    for (const path of this.#bothPaths(one, other)) Object.assign(path, settings);
  }

  /** Cuts the link between two hosts until `heal`. */
  cut(one: string, other: string, kind: CutKind): void {
    if (kind === 'hang') {
      for (const path of this.#bothPaths(one, other)) path.isCut = true;
      return;
    }
    this.#resetLinks.add(linkKey(one, other));
    for (const pair of this.#pairsBetween(one, other)) pair.reset();
  }

  /** Packets vanish in one direction until `heal`: one side hears the other and is not heard. */
  cutOneWay(from: string, to: string): void {
    this.#path(from, to).isCut = true;
  }

  /** One of the connections between two hosts breaks, the oldest being 0; the others stay. */
  breakOne(one: string, other: string, at: number): void {
    this.#pairsBetween(one, other)[at]?.reset();
  }

  /** Ends a cut: what hung goes on, refused connections are possible again. */
  heal(one: string, other: string): void {
    this.#resetLinks.delete(linkKey(one, other));
    for (const path of this.#bothPaths(one, other)) {
      path.isCut = false;
      for (const go of path.held.splice(0)) go();
    }
    for (const pair of this.#pairsBetween(one, other)) {
      pair.client.pipe.pathChanged();
      pair.server.pipe.pathChanged();
    }
  }

  /** New connections to an address are refused, or taken again; open ones stay. */
  refuse(host: string, port: number, isRefused: boolean): void {
    if (isRefused) this.#refused.add(key(host, String(port)));
    else this.#refused.delete(key(host, String(port)));
  }

  /** The next connection from `from` to `to` breaks once `to` has got `afterBytes` (at least 1) of it. */
  breakNext(from: string, to: string, afterBytes: number): void {
    this.#breakNext.set(key(from, to), afterBytes);
  }

  /** The processes of a host are killed: its listeners are gone, its connections break. */
  killHost(host: string): void {
    for (const name of [...this.#listeners.keys()]) {
      if (name.startsWith(key(host, ''))) this.#listeners.delete(name);
    }
    for (const pair of [...this.#open]) {
      const [client, server] = pair.hosts;
      if (client === host) pair.client.destroy();
      if (server === host) pair.server.destroy();
    }
  }

  /**
   * A machine without power answers nothing, not even that nobody listens; to be followed by `killHost`. Who
   * was connected to it learns of that only when it has power again, and something is sent to it.
   */
  switchOff(host: string, isOff: boolean): void {
    if (isOff) this.#off.add(host);
    else this.#off.delete(host);
  }

  /** Connections that at least one side still holds; for finding what a test left behind. */
  get openConnections(): number {
    return this.#open.size;
  }

  #listen(host: string, address: Address, listener: OpenListener): Listener {
    const port = address.port === 0 ? this.#nextPort++ : address.port;
    const name = key(host, String(port));
    if (this.#listeners.has(name)) {
      throw new KomError('KOM_LISTEN', formatAddress(address), {
        got: 'an address that is in use',
      });
    }
    return this.#listener(name, { host: address.host, port }, listener);
  }

  #listener(name: string, address: Address, listener: OpenListener): Listener {
    this.#listeners.set(name, listener);
    const close = async () => {
      if (this.#listeners.get(name) === listener) this.#listeners.delete(name);
    };
    return { address, close };
  }

  #connect(from: string, goal: Goal, options: ConnectOptions): Promise<Connection> {
    const { clock } = this.#setup;
    const { signal, timeoutMs } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      let isOver = false;
      const settle = (finish: () => void) => {
        if (isOver) return;
        isOver = true;
        timer.cancel();
        signal?.removeEventListener('abort', onAbort);
        finish();
      };
      const onAbort = () => settle(() => reject(signal?.reason));
      const timer = clock.schedule('connect timeout', timeoutMs, () =>
        settle(() => reject(new KomError('KOM_CONNECTION_TIMEOUT', goal.name))),
      );
      signal?.addEventListener('abort', onAbort, { once: true });
      // There and back; what decides is how things stand when the handshake is complete.
      this.#carry(from, goal.to, () =>
        this.#carry(goal.to, from, () =>
          settle(() => {
            const listener = this.#listeners.get(goal.key);
            if (this.#resetLinks.has(linkKey(from, goal.to))) reject(unreachable(goal));
            else if (listener === undefined || this.#refused.has(goal.key)) reject(refusal(goal));
            else {
              try {
                resolve(this.#greeted(from, goal, { listener, options }));
              } catch (error) {
                reject(error);
              }
            }
          }),
        ),
      );
    });
  }

  /** Both sides speak TLS, with one authority, or neither does. */
  #greeted(
    from: string,
    goal: Goal,
    { listener, options }: { listener: OpenListener; options: ConnectOptions },
  ): Connection {
    const ours = options.tls?.material();
    const theirs = listener.options.tls?.material();
    if (ours?.ca !== theirs?.ca) {
      const isMixed = ours === undefined || theirs === undefined;
      const error = new KomError(isMixed ? 'KOM_TLS_PLAINTEXT' : 'KOM_TLS_UNKNOWN_CA', goal.name);
      listener.options.refused?.({ remote: from, error, connection: null });
      throw error;
    }
    return this.#join(from, goal, { listener, options });
  }

  #join(from: string, goal: Goal, how: { listener: OpenListener; options: ConnectOptions }): Connection {
    const { accept, options } = how.listener;
    const { clock, random } = this.#setup;
    const breakKey = key(from, goal.to);
    const clientHost = how.options.localAddress ?? from;
    const pair: OpenPair = {
      hosts: [from, goal.to],
      ...createPair({
        clock,
        random,
        toServer: this.#path(from, goal.to),
        toClient: this.#path(goal.to, from),
        serverName: goal.name,
        serverCertificate: shown(options.tls),
        clientCertificate: shown(how.options.tls),
        clientName: goal.name.startsWith('/')
          ? 'local'
          : formatAddress({ host: clientHost, port: this.#nextPort++ }),
        breakAfterBytes: this.#breakNext.get(breakKey) ?? Number.POSITIVE_INFINITY,
        notifyServer: (reset) => this.#carry(from, goal.to, reset),
        notifyClient: (reset) => this.#carry(goal.to, from, reset),
        onOver: () => this.#open.delete(pair),
      }),
    };
    this.#breakNext.delete(breakKey);
    this.#open.add(pair);
    accept(pair.server);
    return pair.client;
  }

  /** Takes a packet of no size from one host to another; a cut holds it until the link is back. */
  #carry(from: string, to: string, deliver: () => void): void {
    const path = this.#path(from, to);
    const arrive = () => {
      if (this.#off.has(from) || this.#off.has(to)) return;
      if (path.isCut) path.held.push(arrive);
      else deliver();
    };
    this.#setup.clock.schedule('network packet', path.latencyMs, arrive);
  }

  #path(from: string, to: string): NetworkPath {
    const name = key(from, to);
    let path = this.#paths.get(name);
    if (path === undefined) {
      const link = this.#setup.defaultLink ?? DEFAULT_LINK;
      const settings = from === to ? { latencyMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY } : link;
      path = { ...settings, isCut: false, busyUntilMs: 0, held: [] };
      this.#paths.set(name, path);
    }
    return path;
  }

  #bothPaths(one: string, other: string): NetworkPath[] {
    return [this.#path(one, other), this.#path(other, one)];
  }

  #pairsBetween(one: string, other: string): OpenPair[] {
    const link = linkKey(one, other);
    return [...this.#open].filter((pair) => linkKey(...pair.hosts) === link);
  }
}

interface Goal {
  readonly to: string;
  /** Of the listener. */
  readonly key: string;
  /** For a reader. */
  readonly name: string;
}

function shown(tls: TlsOptions | undefined): CertificateFacts | null {
  return tls === undefined ? null : readCertificate(tls.material().certificate);
}

function unreachable(goal: Goal): KomError {
  return new KomError('KOM_CONNECTION_UNREACHABLE', goal.name);
}

function refusal(goal: Goal): KomError {
  const isLocal = goal.name.startsWith('/');
  return new KomError(isLocal ? 'KOM_NOT_RUNNING' : 'KOM_CONNECTION_REFUSED', goal.name);
}

function key(host: string, place: string): string {
  return `${host}>${place}`;
}

function linkKey(one: string, other: string): string {
  return [one, other].sort().join('>');
}
