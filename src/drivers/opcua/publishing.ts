import type { NotificationMessage, PublishResponse } from 'node-opcua-client';
import { describeError, KomError } from '../../domain/errors.ts';
import type { OpcuaLibrary } from './library.ts';
import { afterSequence, missingSequences, sequenceBefore } from './sequence.ts';
import type { Session } from './session.ts';

/** What arrives of one subscription, in the server's order. */
export interface NotificationSink {
  readonly subscriptionId: number;
  /**
   * A notification message; without data it is a keep-alive. `completeAt`: the server's time at which it
   * had nothing more to tell; `undefined` where it had, or where it does not say.
   */
  notified(message: NotificationMessage, completeAt: Date | undefined): Promise<void> | void;
  /** Messages were lost and the server no longer has them. May throw to give the session up. */
  lost(): void;
}

export interface PublisherOptions {
  readonly opcua: Pick<OpcuaLibrary, 'PublishRequest' | 'RepublishRequest'>;
  readonly session: Pick<Session, 'publish' | 'republish'>;
  readonly sinks: readonly NotificationSink[];
  /** Longest time that a server may keep a Publish request waiting. */
  readonly answerMaxMs: number;
  /** Called once: the session or a subscription is lost, the line must be opened anew. */
  failed(error: unknown): void;
}

/** Publish requests kept waiting at the server: one per subscription and one more, within these bounds. */
const WAITING_MIN = 2;
const WAITING_MAX = 10;
/** Acknowledgements that wait for the next request; only a server that sends unasked could bring more. */
const ACKNOWLEDGEMENTS_MAX = 1000;
/** A hole wider than this is not asked for message by message. */
const REPUBLISH_MAX = 100;

/**
 * Keeps Publish requests waiting at the server and hands on what they bring, each subscription in order of
 * its sequence numbers. A hole in the numbers is filled with Republish, or reported as lost.
 */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #streams = new Map<number, { sink: NotificationSink; next: number; tail: Promise<void> }>();
  #acknowledgements: { subscriptionId: number; sequenceNumber: number }[] = [];
  #waiting = 0;
  #waitingMax: number;
  #stopped = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#waitingMax = Math.min(Math.max(options.sinks.length + 1, WAITING_MIN), WAITING_MAX);
    for (const sink of options.sinks) {
      this.#streams.set(sink.subscriptionId, { sink, next: 1, tail: Promise.resolve() });
    }
  }

  start(): void {
    if (this.#streams.size === 0) return;
    while (!this.#stopped && this.#waiting < this.#waitingMax) this.#publish();
  }

  stop(): void {
    this.#stopped = true;
  }

  #publish(): void {
    const { opcua, session, answerMaxMs } = this.#options;
    const subscriptionAcknowledgements = this.#acknowledgements.splice(0);
    this.#waiting += 1;
    const timeoutHint = answerMaxMs * (this.#waiting + 1);
    const request = new opcua.PublishRequest({
      requestHeader: { timeoutHint },
      subscriptionAcknowledgements,
    });
    session.publish(request, (error, response) => {
      this.#waiting -= 1;
      if (this.#stopped) return;
      if (error !== null && error !== undefined) this.#publishFailed(error);
      else if (response !== undefined) this.#received(response);
      this.start();
    });
  }

  #publishFailed(error: Error): void {
    const text = describeError(error);
    // The server takes fewer waiting requests than we sent: send no more than it holds now.
    if (text.includes('BadTooManyPublishRequests') && this.#waiting > 0) this.#waitingMax = this.#waiting;
    // The server gave up one request that waited long; the watch on keep-alives finds a dead server.
    else if (!text.includes('BadTimeout')) this.#fail(error);
  }

  #fail(cause: unknown): void {
    if (this.#stopped) return;
    this.#stopped = true;
    const got = describeError(cause).replace(/\s+/g, ' ').trim();
    this.#options.failed(new KomError('KOM_CONNECTION_LOST', 'the OPC UA session', { got, cause }));
  }

  #received(response: PublishResponse): void {
    const stream = this.#streams.get(response.subscriptionId);
    if (stream === undefined) return;
    const { notificationMessage: message } = response;
    const isData = (message.notificationData?.length ?? 0) > 0;
    if (isData) this.#acknowledge(response.subscriptionId, message.sequenceNumber);
    const missing = missingSequences(stream.next, message.sequenceNumber);
    if (isData) stream.next = afterSequence(message.sequenceNumber);
    else if (missing !== 0) stream.next = message.sequenceNumber;
    const completeAt = completionTime(response);
    const before = stream.tail;
    stream.tail = this.#handOn(stream.sink, { before, missing, message, completeAt });
  }

  async #handOn(sink: NotificationSink, arrival: Arrival): Promise<void> {
    try {
      await arrival.before;
      if (arrival.missing > 0) await this.#republish(sink, arrival);
      if (!this.#stopped) await sink.notified(arrival.message, arrival.completeAt);
    } catch (error) {
      this.#fail(error);
    }
  }

  async #republish(sink: NotificationSink, { missing, message }: Arrival): Promise<void> {
    if (missing > REPUBLISH_MAX) {
      sink.lost();
      return;
    }
    for (let back = missing; back > 0; back -= 1) {
      const sequenceNumber = sequenceBefore(message.sequenceNumber, back);
      const found = await this.#republishOne(sink.subscriptionId, sequenceNumber);
      if (found === undefined) sink.lost();
      else await sink.notified(found, undefined);
    }
  }

  #republishOne(subscriptionId: number, sequenceNumber: number): Promise<NotificationMessage | undefined> {
    const { opcua, session } = this.#options;
    const request = new opcua.RepublishRequest({ subscriptionId, retransmitSequenceNumber: sequenceNumber });
    return new Promise((resolve) => {
      session.republish(request, (error, response) => {
        if (error === null && response !== undefined) this.#acknowledge(subscriptionId, sequenceNumber);
        resolve(error === null ? response?.notificationMessage : undefined);
      });
    });
  }

  #acknowledge(subscriptionId: number, sequenceNumber: number): void {
    if (this.#acknowledgements.length >= ACKNOWLEDGEMENTS_MAX) this.#acknowledgements.shift();
    this.#acknowledgements.push({ subscriptionId, sequenceNumber });
  }
}

interface Arrival {
  readonly before: Promise<void>;
  /** How many messages were not received before this one. */
  readonly missing: number;
  readonly message: NotificationMessage;
  readonly completeAt: Date | undefined;
}

/** Some servers leave the time of publishing out; the time of the response is the next best of theirs. */
function completionTime({ moreNotifications, notificationMessage, responseHeader }: PublishResponse) {
  if (moreNotifications) return undefined;
  const times = [notificationMessage.publishTime, responseHeader.timestamp];
  // The library maps "no time" to a date at or before 1601.
  return times.find((time) => time instanceof Date && time.getTime() > 0) ?? undefined;
}
