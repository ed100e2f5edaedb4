import type { DataChangeNotification, ExtensionObject, NotificationMessage } from 'node-opcua-client';
import { describeError, KomError } from '../../domain/errors.ts';
import type { Reading } from '../../domain/sample.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { UnseenInterval } from '../driver.ts';
import type { OpenSession } from './connect.ts';
import type { Inbox } from './inbox.ts';
import type { OpcuaLibrary } from './library.ts';
import type { NotificationSink } from './publishing.ts';
import { ReadingMaker } from './reading.ts';
import type { Subscription } from './subscription.ts';
import { BuiltIn } from './values.ts';

/** A server is dead after one and a half keep-alive times and this. */
export const SILENCE_GRACE_MS = 3000;
const SILENCE_FACTOR = 1.5;

/** The server tells what its queues took while the link stood by. */
interface Flush {
  /** It kept every change since then, integer µs. */
  readonly sinceUs: number;
  /** The server's time from which on it reports, µs; `null` until it said so. */
  reportsFromUs: number | null;
  /** What the last message confirmed, before that was known. */
  lastComplete: { readonly atUs: number; readonly unchangedUntilUs: number } | null;
}

export interface FeedOptions {
  readonly opcua: OpcuaLibrary;
  readonly session: OpenSession['session'];
  readonly subscription: Subscription;
  readonly clock: Clock;
  readonly log: Log;
  readonly inbox: Inbox;
}

/** Turns the notification messages of one subscription into batches of its station. */
export class StationFeed implements NotificationSink {
  readonly subscription: Subscription;
  readonly silenceMaxMs: number;
  readonly #options: FeedOptions;
  readonly #maker = new ReadingMaker();
  /** Every change up to here has been seen. */
  #confirmedUntilUs: number;
  #heardAtMs: number;
  #flush: Flush | null = null;

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
    const confirmedUs = this.#unchangedUntilUs(completeAt, nowUs);
    if (confirmedUs !== undefined) this.#confirmedUntilUs = confirmedUs;
    const flush = this.#flush;
    const unchangedUntilUs = flush === null ? confirmedUs : this.#flushed(flush, confirmedUs, completeAt);
    inbox.put({
      station: this.subscription.station.name,
      readings,
      ...(unseen.length > 0 ? { unseen } : {}),
      ...(unchangedUntilUs === undefined ? {} : { unchangedUntilUs }),
      ...(flush === null ? {} : { observedSinceUs: flush.sinceUs }),
    });
  }

  /** The link is about to be active: what comes first is what the queues took since then (integer µs). */
  expectQueued(sinceUs: number, kept: readonly Reading[]): void {
    this.#flush = { sinceUs, reportsFromUs: null, lastComplete: null };
    if (kept.length === 0) return;
    const station = this.subscription.station.name;
    this.#options.inbox.put({ station, readings: kept, observedSinceUs: sinceUs });
  }

  /** The server reports since this time of its clock: the next message with nothing behind it ends that. */
  reports(serverTimeUs: number): void {
    const flush = this.#flush;
    if (flush === null) return;
    flush.reportsFromUs = serverTimeUs;
    const { lastComplete, sinceUs: observedSinceUs } = flush;
    if (lastComplete === null || lastComplete.atUs <= serverTimeUs) return;
    this.#flush = null;
    const { unchangedUntilUs } = lastComplete;
    const station = this.subscription.station.name;
    this.#options.inbox.put({ station, readings: [], unchangedUntilUs, observedSinceUs });
  }

  /** What a message confirms while queues are told: nothing, unless the server made it after it reported. */
  #flushed(
    flush: Flush,
    unchangedUntilUs: number | undefined,
    completeAt: Date | undefined,
  ): number | undefined {
    if (unchangedUntilUs === undefined || completeAt === undefined) return undefined;
    const atUs = completeAt.getTime() * 1000;
    flush.lastComplete = { atUs, unchangedUntilUs };
    if (flush.reportsFromUs === null || atUs <= flush.reportsFromUs) return undefined;
    this.#flush = null;
    return unchangedUntilUs;
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
      if (tag === undefined) continue;
      const flush = this.#flush === null ? {} : { queuedSinceUs: this.#flush.sinceUs };
      into.readings.push(this.#maker.make(tag, item.value, { ...into, ...flush }));
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
