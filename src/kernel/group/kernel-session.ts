import { describeError, KomError } from '../../domain/errors.ts';
import type { Channel } from '../../uplink/channel.ts';
import { LinkRate } from '../../uplink/link-rate.ts';
import type { KernelWord, Message } from '../../uplink/messages.ts';
import { type Pace, SilenceWatch, silenceCheckMs } from '../../uplink/silence.ts';
import type { Clock, Timer } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';

/** What was read is reported within this time, and not more often. */
const REPORT_MS = 50;
/** Heartbeats that are on their way; of more the oldest count as arrived late. */
const BEATS_MAX = 256;

/** How Kernels talk to each other: a word twice a second, dead after three seconds of silence. */
export const KERNEL_PACE: Pace = { heartbeatMs: 500, silenceMaxMs: 3000 };

export interface KernelSessionOptions {
  readonly channel: Channel;
  readonly pace: Pace;
  /** What to say; `receivedBytes` was read of this connection. */
  readonly word: (receivedBytes: number) => KernelWord;
  readonly told: (word: KernelWord) => void;
  /** Whatever else comes. @throws KomError ends the connection */
  readonly take: (message: Message) => void;
  /** There is room again for what was not taken. */
  readonly roomed: () => void;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * One connection between two Kernels after its handshake, the same on both sides. What is given goes as far
 * as the link carries it, so that words wait for little. Nothing here waits for the other side.
 */
export class KernelSession {
  readonly #options: KernelSessionOptions;
  readonly #link: LinkRate;
  readonly #silence: SilenceWatch;
  readonly #ended = Promise.withResolvers<never>();
  /** Heartbeats, which nobody reports: bytes of them so far, and by where they end. */
  #beatBytes = 0;
  #beats: { readonly through: number; readonly bytes: number }[] = [];
  /** Of those that have arrived. */
  #arrivedBeatBytes = 0;
  #report: Timer | null = null;
  #isRefusing = false;

  constructor(options: KernelSessionOptions) {
    const { channel, clock, pace } = options;
    this.#options = options;
    this.#link = new LinkRate(channel.sentBytes);
    this.#silence = new SilenceWatch(pace.silenceMaxMs, clock.monotonicMs());
    this.#ended.promise.catch(() => {
      // Whoever runs the session sees it; it may have ended before it ran.
    });
  }

  get roomBytes(): number {
    // The trip is measured by what finds the way empty.
    const isProbing = this.#link.isProbeDue(this.#options.clock.monotonicMs()) && this.#link.waitingBytes > 0;
    return isProbing ? 0 : this.#link.waitingBytesMax - this.#link.waitingBytes;
  }

  /** Until it ends. @throws KomError that says why; the signal's reason when aborted */
  async run(signal: AbortSignal): Promise<never> {
    const { channel, clock, pace } = this.#options;
    const stop = (): void => this.#ended.reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    const timers = [
      clock.repeat('kernel word', pace.heartbeatMs, () => this.tell()),
      clock.repeat('kernel silence', silenceCheckMs(pace.silenceMaxMs), () => this.#checkSilence()),
    ];
    this.#read().catch((error: unknown) => this.#ended.reject(error));
    try {
      signal.throwIfAborted();
      this.tell();
      return await this.#ended.promise;
    } finally {
      signal.removeEventListener('abort', stop);
      for (const timer of timers) timer.cancel();
      this.#report?.cancel();
      if (signal.aborted) channel.bye('stopping', 'the Kernel stops');
      else channel.destroy();
    }
  }

  /** Says what this Kernel knows of the group, now. */
  tell(): void {
    const { channel, word } = this.#options;
    this.#send({ type: 'kernelWord', word: word(channel.receivedBytes) });
  }

  /** False: there is no room, and `roomed` tells when there is. */
  give(message: Message): boolean {
    const isDue = this.#link.isProbeDue(this.#options.clock.monotonicMs());
    if (isDue && this.#link.waitingBytes === 0) this.tell();
    this.#isRefusing = this.roomBytes <= 0;
    if (this.#isRefusing) return false;
    this.#send(message);
    return true;
  }

  /** An answer: it is small, and goes whatever waits. */
  answer(message: Message): void {
    this.#send(message);
  }

  end(error: unknown): void {
    this.#ended.reject(error);
  }

  #send(message: Message): void {
    const { channel, clock, log } = this.#options;
    const beforeBytes = channel.sentBytes;
    channel.send(message).catch((error: unknown) => {
      log.debug({ error: describeError(error) }, 'a message to another Kernel found nobody');
      this.#ended.reject(error);
    });
    if (message.type !== 'heartbeat') {
      this.#link.sent(channel.sentBytes - this.#beatBytes, clock.monotonicMs());
      return;
    }
    // A report of a report would never end; so they do not count as being on the way.
    this.#beatBytes += channel.sentBytes - beforeBytes;
    this.#beats = [...this.#beats, { through: channel.sentBytes, bytes: this.#beatBytes }].slice(-BEATS_MAX);
  }

  async #read(): Promise<void> {
    const { channel, told, take } = this.#options;
    while (true) {
      const message = await channel.receive();
      if (message === null) throw new KomError('KOM_CONNECTION_LOST', 'the other Kernel closed');
      if (message.type === 'kernelWord') {
        this.#arrived(message.word.receivedBytes);
        // Whoever waits for an empty way, to measure it, sends words all the same.
        this.#reportSoon();
        told(message.word);
      } else if (message.type === 'heartbeat') this.#arrived(message.heartbeat.receivedBytes);
      else if (message.type === 'bye') {
        throw new KomError('KOM_CONNECTION_LOST', `the other Kernel said goodbye: ${message.text}`);
      } else {
        this.#reportSoon();
        take(message);
      }
    }
  }

  #arrived(receivedBytes: number): void {
    for (const { through, bytes } of this.#beats)
      if (through <= receivedBytes) this.#arrivedBeatBytes = bytes;
    this.#beats = this.#beats.filter(({ through }) => through > receivedBytes);
    this.#link.arrived(receivedBytes - this.#arrivedBeatBytes, this.#options.clock.monotonicMs());
    if (!this.#isRefusing || this.roomBytes <= 0) return;
    this.#isRefusing = false;
    this.#options.roomed();
  }

  #reportSoon(): void {
    this.#report ??= this.#options.clock.schedule('kernel report', REPORT_MS, () => {
      this.#report = null;
      this.#beat();
    });
  }

  #beat(): void {
    const { channel, clock } = this.#options;
    this.#send({
      type: 'heartbeat',
      heartbeat: {
        ...{ wallUs: clock.wallUs(), streams: [], observedUntilUs: 0, uplinkState: 'outage' },
        ...{ receivedBytes: channel.receivedBytes, isPartial: true },
      },
    });
  }

  #checkSilence(): void {
    const { channel, clock } = this.#options;
    if (!this.#silence.isDead(clock.monotonicMs(), channel.silentMs)) return;
    const silentMs = Math.round(channel.silentMs);
    this.#ended.reject(
      new KomError('KOM_CONNECTION_TIMEOUT', `the other Kernel was silent for ${silentMs} ms`),
    );
  }
}
