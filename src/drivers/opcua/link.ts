import type { DataChangeNotification, ExtensionObject, NotificationMessage } from 'node-opcua-client';
import { describeError, KomError } from '../../domain/errors.ts';
import type { Reading } from '../../domain/sample.ts';
import type { Clock, Timer } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { Link, LinkBatch, UnseenInterval } from '../driver.ts';
import { bounded } from './bounded.ts';
import {
  type ConnectContext,
  closeSession,
  connectError,
  type OpenSession,
  type OrphanSession,
} from './connect.ts';
import { Inbox } from './inbox.ts';
import type { OpcuaLibrary } from './library.ts';
import { readServerFacts, touchSession } from './node-ids.ts';
import { type NotificationSink, Publisher } from './publishing.ts';
import { ReadingMaker } from './reading.ts';
import { createSubscription, type Subscription } from './subscription.ts';
import { BuiltIn } from './values.ts';

/** A large line takes its time: 50,000 items are 50 requests. */
const SUBSCRIBE_MAX_MS = 60_000;
/** Refused items are tried again at this period. */
const REFUSED_RETRY_MS = 60_000;
/** How often silence is looked for. */
const WATCH_MS = 500;
/** A server is dead after one and a half keep-alive times and this. */
const SILENCE_GRACE_MS = 3000;
const SILENCE_FACTOR = 1.5;

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
    const tagCount = context.line.stations.reduce((count, { tags }) => count + tags.length, 0);
    this.#inbox = new Inbox(tagCount);
    open.lost.addEventListener('abort', () => this.#fail(open.lost.reason), { once: true });
    context.signal.addEventListener('abort', this.#stop, { once: true });
  }

  async subscribe(): Promise<void> {
    const { opcua, line, clock, log } = this.#context;
    const { session } = this.#open;
    const facts = await readServerFacts(opcua, session);
    const stations = line.stations.filter(({ mode, tags }) => mode === 'on' && tags.length > 0);
    for (const station of stations) {
      const subscription = await createSubscription({ opcua, session, line }, station);
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
    this.#every('opcua-silence', WATCH_MS, () => this.#watch());
    this.#every('opcua-refused', REFUSED_RETRY_MS, () => this.#background(() => this.#retryRefused()));
    if (this.#feeds.length === 0) {
      this.#every('opcua-session', session.timeout / 3, () =>
        this.#background(() => touchSession(opcua, session)),
      );
    }
  }

  [Symbol.asyncIterator](): AsyncIterator<LinkBatch> {
    return this.#inbox[Symbol.asyncIterator]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#close();
    return this.#disposed;
  }

  /** Ends the iteration, which may otherwise wait for a quiet server. */
  readonly #stop = (): void => this.#inbox.close();

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
    if (this.#disposed === undefined) this.#timers.push(this.#context.clock.repeat(name, ms, run));
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

interface FeedOptions {
  readonly opcua: OpcuaLibrary;
  readonly session: OpenSession['session'];
  readonly subscription: Subscription;
  readonly clock: Clock;
  readonly log: Log;
  readonly inbox: Inbox;
}

/** Turns the notification messages of one subscription into batches of its station. */
class StationFeed implements NotificationSink {
  readonly subscription: Subscription;
  readonly silenceMaxMs: number;
  readonly #options: FeedOptions;
  readonly #maker = new ReadingMaker();
  /** Every change up to here has been seen. */
  #confirmedUntilUs: number;
  #heardAtMs: number;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.subscription = options.subscription;
    this.silenceMaxMs = options.subscription.keepAliveMs * SILENCE_FACTOR + SILENCE_GRACE_MS;
    this.#heardAtMs = options.clock.monotonicMs();
    this.#confirmedUntilUs = options.clock.wallUs();
  }

  get subscriptionId(): number {
    return this.subscription.id;
  }

  /** Monotonic time of the last sign of life. */
  get heardAtMs(): number {
    return this.#heardAtMs;
  }

  /**
   * Nobody knows which tags the lost messages spoke of, so none of the present values can be relied on: the
   * time is declared, and a new session brings a snapshot.
   */
  lost(): void {
    const { inbox, clock } = this.#options;
    const { name: station } = this.subscription.station;
    const nowUs = clock.wallUs();
    const fromUs = Math.min(this.#confirmedUntilUs, nowUs);
    inbox.put({
      station,
      readings: [],
      unseen: [{ tagIndexes: [], fromUs, toUs: nowUs, reason: 'overload' }],
    });
    throw new KomError('KOM_CONNECTION_LOST', `notifications of station ${station}`, {
      got: 'a hole in their sequence that the server cannot fill',
    });
  }

  async notified(message: NotificationMessage, completeAt: Date | undefined): Promise<void> {
    const { clock, inbox } = this.#options;
    this.#heardAtMs = clock.monotonicMs();
    const nowUs = clock.wallUs();
    const readings: Reading[] = [];
    const unseen: UnseenInterval[] = [];
    for (const data of message.notificationData ?? []) {
      if (data !== null) await this.#take(data, { readings, unseen, nowUs });
    }
    const unchangedUntilUs = this.#unchangedUntilUs(completeAt, nowUs);
    if (unchangedUntilUs !== undefined) this.#confirmedUntilUs = unchangedUntilUs;
    inbox.put({
      station: this.subscription.station.name,
      readings,
      ...(unseen.length > 0 ? { unseen } : {}),
      ...(unchangedUntilUs === undefined ? {} : { unchangedUntilUs }),
    });
  }

  async #take(
    data: ExtensionObject,
    into: { readings: Reading[]; unseen: UnseenInterval[]; nowUs: number },
  ): Promise<void> {
    const { opcua } = this.#options;
    if (data instanceof opcua.StatusChangeNotification) {
      throw new KomError(
        'KOM_CONNECTION_LOST',
        `the subscription of station ${this.subscription.station.name}`,
        {
          got: data.status.toString(),
        },
      );
    }
    if (!(data instanceof opcua.DataChangeNotification)) return;
    await this.#decodeStructures(data);
    for (const item of data.monitoredItems ?? []) {
      const tag = this.subscription.tagOf(item.clientHandle);
      if (tag !== undefined) into.readings.push(this.#maker.make(tag, item.value, into));
    }
  }

  /** A structure of the server's own type comes as bytes; the library asks the server for its definition. */
  async #decodeStructures(data: DataChangeNotification): Promise<void> {
    const { opcua, session, log } = this.#options;
    const structures = (data.monitoredItems ?? []).flatMap(({ value }) =>
      Number(value.value.dataType) === BuiltIn.extensionObject ? value : [],
    );
    if (structures.length === 0) return;
    try {
      await opcua.promoteOpaqueStructure(session, structures);
    } catch (error) {
      log.debug({ reason: describeError(error) }, 'a structure is stored as it was encoded');
    }
  }

  /**
   * What the server confirmed: it had nothing more to tell when it sent the message. What changed within the
   * slowest sampling interval before may not have been sampled yet. The server's clock dates it, as it dates
   * the values; a server whose clock is ahead cannot make us claim the future.
   */
  #unchangedUntilUs(completeAt: Date | undefined, nowUs: number): number | undefined {
    if (completeAt === undefined) return undefined;
    const slowestUs = this.subscription.slowestSamplingMs * 1000;
    return Math.floor(Math.min(completeAt.getTime() * 1000, nowUs) - slowestUs);
  }
}
