import { describeError, KomError } from '../domain/errors.ts';
import type { HandoverRequest } from '../domain/lease.ts';
import type { Channel } from '../uplink/channel.ts';
import { LinkRate } from '../uplink/link-rate.ts';
import type { Message, PeerWord } from '../uplink/messages.ts';
import { type Pace, SilenceWatch, silenceCheckMs } from '../uplink/silence.ts';
import type { Clock, Timer } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { isMirrorMessage, type MirrorMessage } from './mirror-ports.ts';

/** What was read of the mirror is reported within this time, and not more often. */
const REPORT_MS = 50;
/** With more than this waiting to leave, a word is left out: the next one says more. */
const QUEUED_BYTES_MAX = 64 * 1024;

export interface PeerSessionOptions {
  readonly channel: Channel;
  /** The run of the peer's process. */
  readonly runId: string;
  readonly pace: Pace;
  /** What to say, with what was read of this connection. */
  readonly word: (receivedBytes: number) => PeerWord;
  /** Any byte came. */
  readonly heard: () => void;
  /** @throws KomError ends the connection */
  readonly told: (word: PeerWord) => void;
  readonly handover: (request: HandoverRequest) => void;
  /** @throws KomError ends the connection */
  readonly mirrored: (message: MirrorMessage) => void;
  /** There is room again for what was not taken. */
  readonly roomed: () => void;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * One connection of a peer link after its handshake, the same on both sides. Words go at their pace and are
 * left out where nothing leaves; what mirrors say goes as far as the link carries it, so that words wait for
 * little. Nothing here waits for the peer.
 */
export class PeerSession {
  readonly #options: PeerSessionOptions;
  readonly #link: LinkRate;
  readonly #silence: SilenceWatch;
  readonly #ended = Promise.withResolvers<never>();
  #report: Timer | null = null;
  #isRefusing = false;

  constructor(options: PeerSessionOptions) {
    const { channel, clock, pace } = options;
    this.#options = options;
    this.#link = new LinkRate(channel.sentBytes);
    this.#silence = new SilenceWatch(pace.silenceMaxMs, clock.monotonicMs());
    this.#ended.promise.catch(() => {
      // Whoever runs the session sees it; it may have ended before it ran.
    });
  }

  get runId(): string {
    return this.#options.runId;
  }

  get remote(): string {
    return this.#options.channel.remote;
  }

  get bytesPerS(): number | null {
    return this.#link.bytesPerS;
  }

  get roomBytes(): number {
    const { clock, channel } = this.#options;
    if (channel.queuedBytes > QUEUED_BYTES_MAX) return 0;
    // The trip is measured by what finds the way empty.
    if (this.#link.isProbeDue(clock.monotonicMs()) && this.#link.waitingBytes > 0) return 0;
    return this.#link.waitingBytesMax - this.#link.waitingBytes;
  }

  /** Until it ends. @throws KomError that says why; the signal's reason when aborted */
  async run(signal: AbortSignal): Promise<never> {
    const { channel, clock, pace, heard } = this.#options;
    const stop = (): void => this.#ended.reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    channel.whenHeard(heard);
    const timers = [
      clock.repeat('peer heartbeat', pace.heartbeatMs, () => this.tell()),
      clock.repeat('peer silence', silenceCheckMs(pace.silenceMaxMs), () => this.#checkSilence()),
    ];
    const reading = this.#read();
    reading.catch((error: unknown) => this.#ended.reject(error));
    try {
      signal.throwIfAborted();
      this.tell();
      return await this.#ended.promise;
    } finally {
      signal.removeEventListener('abort', stop);
      channel.whenHeard(() => {});
      for (const timer of timers) timer.cancel();
      this.#report?.cancel();
      if (signal.aborted) channel.bye('stopping', 'the comm server stops');
      else channel.destroy();
    }
  }

  /** Another connection took its place. */
  replaced(): void {
    this.#options.channel.bye('replaced', 'the peer connected again');
    this.#ended.reject(new KomError('KOM_CONNECTION_LOST', 'the peer connected again'));
  }

  /** Says the state, if anything leaves at all. */
  tell(): void {
    const { channel, word } = this.#options;
    if (channel.queuedBytes > QUEUED_BYTES_MAX) return;
    this.#send({ type: 'peerState', state: word(channel.receivedBytes) });
  }

  handOver(request: HandoverRequest): void {
    this.#send({ type: 'handover', request });
  }

  /** False: there is no room, and `roomed` tells when there is. */
  sendMirror(message: MirrorMessage): boolean {
    this.#probe();
    this.#isRefusing = this.roomBytes <= 0;
    if (this.#isRefusing) return false;
    this.#send(message);
    return true;
  }

  #send(message: Message): void {
    const { channel, clock, log } = this.#options;
    channel.send(message).catch((error: unknown) => {
      log.debug({ error: describeError(error) }, 'a word to the peer found nobody');
      this.#ended.reject(error);
    });
    this.#link.sent(channel.sentBytes, clock.monotonicMs());
  }

  /** A small message that finds the way empty measures it. */
  #probe(): void {
    if (this.#link.waitingBytes > 0 || !this.#link.isProbeDue(this.#options.clock.monotonicMs())) return;
    this.#sendReport();
  }

  async #read(): Promise<void> {
    const { channel, told, handover, mirrored } = this.#options;
    while (true) {
      const message = await channel.receive();
      if (message === null) throw new KomError('KOM_CONNECTION_LOST', 'the peer closed the connection');
      if (message.type === 'peerState') {
        this.#arrived(message.state.receivedBytes);
        told(message.state);
      } else if (message.type === 'heartbeat') this.#arrived(message.heartbeat.receivedBytes);
      else if (message.type === 'handover') handover(message.request);
      else if (isMirrorMessage(message)) {
        this.#reportSoon();
        mirrored(message);
      } else if (message.type === 'bye') {
        const { reason, text } = message;
        throw new KomError('KOM_CONNECTION_LOST', `the peer said goodbye: ${reason}, ${text}`);
      } else throw new KomError('KOM_PROTOCOL_STATE', `a message ${message.type} on a peer link`);
    }
  }

  #arrived(receivedBytes: number): void {
    this.#link.arrived(receivedBytes, this.#options.clock.monotonicMs());
    this.#probe();
    if (!this.#isRefusing || this.roomBytes <= 0) return;
    this.#isRefusing = false;
    this.#options.roomed();
  }

  #reportSoon(): void {
    this.#report ??= this.#options.clock.schedule('peer report', REPORT_MS, () => {
      this.#report = null;
      this.#sendReport();
    });
  }

  #sendReport(): void {
    const { channel, clock } = this.#options;
    if (channel.queuedBytes > QUEUED_BYTES_MAX) return;
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
    this.#ended.reject(new KomError('KOM_CONNECTION_TIMEOUT', `the peer was silent for ${silentMs} ms`));
  }
}
