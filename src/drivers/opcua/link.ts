import { describeError, KomError } from '../../domain/errors.ts';
import type { Reading } from '../../domain/sample.ts';
import type { Timer } from '../../world/clock.ts';
import type { Link, LinkBatch, LinkRole } from '../driver.ts';
import { bounded } from './bounded.ts';
import {
  type ConnectContext,
  closeSession,
  connectError,
  type OpenSession,
  type OrphanSession,
} from './connect.ts';
import { Inbox } from './inbox.ts';
import { readServerFacts, touchSession } from './node-ids.ts';
import { Publisher } from './publishing.ts';
import { SILENCE_GRACE_MS, StationFeed } from './station-feed.ts';
import { createSubscription, type Subscription } from './subscription.ts';

/** A large line takes its time: 50,000 items are 50 requests. */
const SUBSCRIBE_MAX_MS = 60_000;
/** Refused items are tried again at this period. */
const REFUSED_RETRY_MS = 60_000;
/** How often silence is looked for. */
const WATCH_MS = 500;

/** Opens the subscriptions of a session. */
export async function openLink(
  context: ConnectContext,
  open: OpenSession,
  closed: (orphan: OrphanSession | undefined) => void,
): Promise<Link> {
  const link = new OpcuaLink(context, open, closed);
  const { clock, line, signal } = context;
  const ms = SUBSCRIBE_MAX_MS + line.connectTimeoutMs;
  try {
    await bounded({ clock, signal, ms, what: `the subscriptions at ${line.endpointUrl}` }, link.subscribe());
    return link;
  } catch (error) {
    await link[Symbol.asyncDispose]();
    throw signal.aborted ? error : connectError(line, error);
  }
}

class OpcuaLink implements Link {
  readonly #context: ConnectContext;
  readonly #open: OpenSession;
  readonly #closed: (orphan: OrphanSession | undefined) => void;
  readonly #inbox: Inbox;
  readonly #timers: Timer[] = [];
  #feeds: StationFeed[] = [];
  #role: LinkRole;
  /** Since when the queues at the server take what is not reported, integer µs. */
  #queuedSinceUs = 0;
  /** What came while standing by, the newest of each tag: it is in no queue any more. */
  readonly #kept = new Map<number, { readonly station: string; readonly reading: Reading }>();
  /** Changes of the role are done one after the other. */
  #changing: Promise<void> = Promise.resolve();
  #itemsPerCall = 1;
  #publisher: Publisher | undefined;
  #peerAnswers = true;
  #busy = false;
  #disposed: Promise<void> | undefined;

  constructor(
    context: ConnectContext,
    open: OpenSession,
    closed: (orphan: OrphanSession | undefined) => void,
  ) {
    this.#context = context;
    this.#open = open;
    this.#closed = closed;
    this.#role = context.role;
    const tagCount = context.line.stations.reduce((count, { tags }) => count + tags.length, 0);
    this.#inbox = new Inbox(tagCount);
    open.lost.addEventListener('abort', () => this.#fail(open.lost.reason), { once: true });
    context.signal.addEventListener('abort', this.#stop, { once: true });
  }

  async subscribe(): Promise<void> {
    const { opcua, line, clock, log, failoverMs } = this.#context;
    const { session } = this.#open;
    const facts = await readServerFacts(opcua, session);
    this.#itemsPerCall = facts.itemsPerCall;
    const stations = line.stations.filter(({ mode, tags }) => mode === 'on' && tags.length > 0);
    for (const station of stations) {
      const start = { reports: this.#role === 'active', failoverMs: failoverMs ?? 0 };
      const subscription = await createSubscription({ opcua, session, line, ...start }, station);
      this.#feeds.push(new StationFeed({ opcua, subscription, clock, log, inbox: this.#inbox, session }));
    }
    const longestKeepAliveMs = Math.max(...this.#feeds.map((feed) => feed.silenceMaxMs), SILENCE_GRACE_MS);
    this.#publisher = new Publisher({
      opcua,
      session,
      sinks: this.#feeds,
      answerMaxMs: 2 * longestKeepAliveMs,
      failed: (error) => this.#fail(error),
    });
    this.#publisher.start();
    for (const { subscription } of this.#feeds) {
      this.#report(subscription, await subscription.monitorAll(facts, clock.wallUs()));
    }
    this.#queuedSinceUs = clock.wallUs();
    this.#every('opcua-silence', WATCH_MS, () => this.#watch());
    this.#every('opcua-refused', REFUSED_RETRY_MS, () => this.#background(() => this.#retryRefused()));
    if (this.#feeds.length === 0) {
      this.#every('opcua-session', session.timeout / 3, () =>
        this.#background(() => touchSession(opcua, session)),
      );
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<LinkBatch> {
    for await (const batch of this.#inbox) {
      if (this.#role === 'active') yield batch;
      else this.#keep(batch);
    }
  }

  setRole(role: LinkRole): Promise<void> {
    if (this.#role === role) return this.#changing;
    this.#role = role;
    this.#changing = this.#changing.then(() => (role === 'active' ? this.#activate() : this.#standBy()));
    return this.#changing;
  }

  /** From here on the queues at the server take what changes. */
  async #standBy(): Promise<void> {
    for (const { subscription } of this.#feeds) await subscription.setReporting(false, this.#itemsPerCall);
    this.#queuedSinceUs = this.#context.clock.wallUs();
  }

  /** The server reports what its queues took, at the next publishing; before it comes what was kept here. */
  async #activate(): Promise<void> {
    const kept = Map.groupBy(this.#kept.values(), ({ station }) => station);
    this.#kept.clear();
    for (const feed of this.#feeds) {
      const readings = kept.get(feed.subscription.station.name)?.map(({ reading }) => reading) ?? [];
      feed.expectQueued(this.#queuedSinceUs, readings);
    }
    for (const feed of this.#feeds) {
      feed.reports(await feed.subscription.setReporting(true, this.#itemsPerCall));
    }
  }

  #keep({ station, readings }: LinkBatch): void {
    for (const reading of readings) this.#kept.set(reading.tagIndex, { station, reading });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#close();
    return this.#disposed;
  }

  /** Ends the iteration, which may otherwise wait for a quiet server. */
  readonly #stop = (): void => {
    this.#publisher?.stop();
    this.#inbox.close();
  };

  async #close(): Promise<void> {
    this.#context.signal.removeEventListener('abort', this.#stop);
    for (const timer of this.#timers) timer.cancel();
    this.#publisher?.stop();
    this.#inbox.close();
    const { session } = this.#open;
    const isClosed = await closeSession(this.#context, this.#open, this.#peerAnswers);
    const expiresAtMs = this.#context.clock.monotonicMs() + session.timeout;
    this.#closed(isClosed ? undefined : { session, expiresAtMs });
  }

  #fail(error: unknown): void {
    this.#publisher?.stop();
    this.#inbox.fail(error);
  }

  #every(name: string, ms: number, run: () => void): void {
    // An attempt that was aborted while it subscribed must not leave a timer behind.
    if (this.#disposed !== undefined) return;
    const { clock, signal } = this.#context;
    const runIfWanted = (): void => {
      if (!signal.aborted) run();
    };
    this.#timers.push(clock.repeat(name, ms, runIfWanted));
  }

  /** One background request at a time; its failure is the line's. */
  #background(work: () => Promise<void>): void {
    if (this.#busy) return;
    this.#busy = true;
    work()
      .catch((cause: unknown) => {
        const got = describeError(cause);
        this.#fail(new KomError('KOM_CONNECTION_LOST', 'the OPC UA session', { got, cause }));
      })
      .finally(() => {
        this.#busy = false;
      });
  }

  async #retryRefused(): Promise<void> {
    const { opcua, clock } = this.#context;
    if (!this.#feeds.some(({ subscription }) => subscription.hasRefused)) return;
    const facts = await readServerFacts(opcua, this.#open.session);
    for (const { subscription } of this.#feeds) {
      if (subscription.hasRefused) {
        this.#report(subscription, await subscription.monitorRefused(facts, clock.wallUs()));
      }
    }
  }

  #report(subscription: Subscription, bad: readonly Reading[]): void {
    if (bad.length === 0) return;
    const { name: station } = subscription.station;
    const [first] = bad;
    const tag = subscription.station.tags.find(({ index }) => index === first?.tagIndex);
    this.#context.log.warn(
      { station, refused: bad.length, firstNodeId: tag?.nodeId, status: first?.quality.toString(16) },
      'the OPC UA server refuses to monitor some nodes',
    );
    this.#inbox.put({ station, readings: bad });
  }

  #watch(): void {
    const nowMs = this.#context.clock.monotonicMs();
    const silent = this.#feeds.find((feed) => nowMs - feed.heardAtMs > feed.silenceMaxMs);
    if (silent === undefined) return;
    this.#peerAnswers = false;
    this.#fail(
      new KomError('KOM_DEVICE_TIMEOUT', `OPC UA server ${this.#context.line.endpointUrl}`, {
        expected: `data or a keep-alive of station ${silent.subscription.station.name}`,
        got: `nothing for ${Math.round(nowMs - silent.heardAtMs)} ms`,
      }),
    );
  }
}
