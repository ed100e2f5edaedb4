import { describeError, KomError } from '../domain/errors.ts';
import type { Clock, Timer } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Channel } from './channel.ts';
import { goodbye } from './ended.ts';
import { LinkRate } from './link-rate.ts';
import type { Message } from './messages.ts';
import { type Pace, SilenceWatch, silenceCheckMs } from './silence.ts';

/** What was read is reported within this time, and not more often. */
const REPORT_MS = 50;
/** Messages that went aside and are on their way; of more the oldest count as arrived late. */
const ASIDE_MAX = 256;

export interface MeteredSessionOptions {
  readonly channel: Channel;
  readonly pace: Pace;
  /** Who is at the other end, as messages call it. */
  readonly other: string;
  /** What the other end is told when this one stops. */
  readonly leaving: string;
  /** Says what this side knows, with `receivedBytes` of the channel: at the pace, and to measure the way. */
  readonly tell: () => void;
  /** Whatever comes but reports and goodbyes. @throws KomError ends the connection */
  readonly take: (message: Message) => void;
  /** There is room again for what was not taken. */
  readonly roomed: () => void;
  /** With more waiting to leave, reports are left out and nothing is taken; no bound if not given. */
  readonly queuedBytesMax?: number;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * One connection between two of a kind after its handshake, the same on both sides. Each reports what it has
 * read, so that the other one gives as much as the link carries and small words wait for little. Nothing here
 * waits for the other side.
 */
export class MeteredSession {
  readonly #options: MeteredSessionOptions;
  readonly #link: LinkRate;
  readonly #silence: SilenceWatch;
  readonly #ended = Promise.withResolvers<never>();
  /** Bytes that went aside so far, and by where they end. */
  #asideBytes = 0;
  #aside: { readonly through: number; readonly bytes: number }[] = [];
  /** Of those that have arrived. */
  #arrivedAsideBytes = 0;
  #due: Timer | null = null;
  #isRefusing = false;
  #isMeasuring = false;

  constructor(options: MeteredSessionOptions) {
    const { channel, clock, pace } = options;
    this.#options = options;
    this.#link = new LinkRate(channel.sentBytes);
    this.#silence = new SilenceWatch(pace.silenceMaxMs, clock.monotonicMs());
    this.#ended.promise.catch(() => {
      // Whoever runs the session sees it; it may have ended before it ran.
    });
  }

  get roomBytes(): number {
    if (this.isQueueing) return 0;
    // The trip is measured by what finds the way empty.
    const isProbing = this.#isProbeDue && this.#link.waitingBytes > 0;
    return isProbing ? 0 : this.#link.waitingBytesMax - this.#link.waitingBytes;
  }

  get bytesPerS(): number | null {
    return this.#link.bytesPerS;
  }

  /** More waits to leave than should. */
  get isQueueing(): boolean {
    const { channel, queuedBytesMax = Number.POSITIVE_INFINITY } = this.#options;
    return channel.queuedBytes > queuedBytesMax;
  }

  /** Until it ends. @throws KomError that says why; the signal's reason when aborted */
  async run(signal: AbortSignal): Promise<never> {
    const { channel, clock, pace, leaving } = this.#options;
    const stop = (): void => this.#ended.reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    const timers = [
      clock.repeat('word', pace.heartbeatMs, () => this.#tell()),
      clock.repeat('silence', silenceCheckMs(pace.silenceMaxMs), () => this.#checkSilence()),
    ];
    this.#read().catch((error: unknown) => this.#ended.reject(error));
    try {
      signal.throwIfAborted();
      this.#tell();
      return await this.#ended.promise;
    } finally {
      signal.removeEventListener('abort', stop);
      for (const timer of timers) timer.cancel();
      this.#due?.cancel();
      if (signal.aborted) channel.bye('stopping', leaving);
      else channel.destroy();
    }
  }

  /** False: there is no room, and `roomed` tells when there is. */
  give(message: Message): boolean {
    if (this.#canMeasure) this.#tell();
    this.#isRefusing = this.roomBytes <= 0;
    if (this.#isRefusing) return false;
    this.#send(message, 'counted');
    return true;
  }

  /** What this side knows: it goes whatever waits. */
  say(word: Message): void {
    this.#send(word, this.#isMeasuring ? 'measured' : 'aside');
  }

  /** Anything else that goes whatever waits. */
  send(message: Message): void {
    this.#send(message, 'counted');
  }

  /** What the other side says to have read of this connection. */
  arrived(receivedBytes: number): void {
    for (const { through, bytes } of this.#aside) {
      if (through <= receivedBytes) this.#arrivedAsideBytes = bytes;
    }
    this.#aside = this.#aside.filter(({ through }) => through > receivedBytes);
    this.#link.arrived(receivedBytes - this.#arrivedAsideBytes, this.#options.clock.monotonicMs());
    if (!this.#isRefusing || this.roomBytes <= 0) return;
    this.#isRefusing = false;
    this.#options.roomed();
  }

  end(error: unknown): void {
    this.#ended.reject(error);
  }

  /**
   * What goes aside does not count as being on the way: a report of a report would never end, and with words
   * that go before the last one is reported no way would ever be empty.
   */
  #send(message: Message, as: 'counted' | 'measured' | 'aside'): void {
    const { channel, clock, log, other } = this.#options;
    const beforeBytes = channel.sentBytes;
    channel.send(message).catch((error: unknown) => {
      log.debug({ error: describeError(error) }, `a message to ${other} found nobody`);
      this.#ended.reject(error);
    });
    if (as !== 'aside') {
      this.#link.sent(channel.sentBytes - this.#asideBytes, clock.monotonicMs(), as === 'measured');
      return;
    }
    this.#asideBytes += channel.sentBytes - beforeBytes;
    const last = { through: channel.sentBytes, bytes: this.#asideBytes };
    this.#aside = [...this.#aside, last].slice(-ASIDE_MAX);
  }

  /** A word, which is answered with a report; it measures the way where that is due and the way empty. */
  #tell(): void {
    this.#isMeasuring = this.#canMeasure;
    this.#options.tell();
    this.#isMeasuring = false;
  }

  get #canMeasure(): boolean {
    return this.#isProbeDue && this.#link.waitingBytes === 0;
  }

  get #isProbeDue(): boolean {
    return this.#link.isProbeDue(this.#options.clock.monotonicMs());
  }

  async #read(): Promise<void> {
    const { channel, other, take } = this.#options;
    while (true) {
      const message = await channel.receive();
      if (message === null) throw new KomError('KOM_CONNECTION_LOST', `${other} closed the connection`);
      if (message.type === 'heartbeat') this.arrived(message.heartbeat.receivedBytes);
      else if (message.type === 'bye') {
        const { reason, text } = message;
        const what = `${other} said goodbye: ${reason}, ${text}`;
        throw new KomError('KOM_CONNECTION_LOST', what, goodbye(reason));
      } else {
        // Words too: one of them may measure the way.
        this.#reportSoon();
        take(message);
      }
    }
  }

  #reportSoon(): void {
    this.#due ??= this.#options.clock.schedule('report', REPORT_MS, () => {
      this.#due = null;
      this.#report();
    });
  }

  #report(): void {
    const { channel, clock } = this.#options;
    if (this.isQueueing) return;
    const heartbeat = {
      ...{ wallUs: clock.wallUs(), streams: [], observedUntilUs: 0, uplinkState: 'outage' as const },
      ...{ receivedBytes: channel.receivedBytes, isPartial: true },
    };
    this.#send({ type: 'heartbeat', heartbeat }, 'aside');
  }

  #checkSilence(): void {
    const { channel, clock, other } = this.#options;
    if (!this.#silence.isDead(clock.monotonicMs(), channel.silentMs)) return;
    const silentMs = Math.round(channel.silentMs);
    this.#ended.reject(new KomError('KOM_CONNECTION_TIMEOUT', `${other} was silent for ${silentMs} ms`));
  }
}
