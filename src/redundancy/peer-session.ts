import { KomError } from '../domain/errors.ts';
import type { HandoverRequest } from '../domain/lease.ts';
import type { Channel } from '../uplink/channel.ts';
import type { Message, PeerWord } from '../uplink/messages.ts';
import { MeteredSession } from '../uplink/metered-session.ts';
import type { Pace } from '../uplink/silence.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { isMirrorMessage, type MirrorMessage } from './mirror-ports.ts';

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
 * left out where nothing leaves; what mirrors say goes as far as the link carries it.
 */
export class PeerSession {
  readonly #options: PeerSessionOptions;
  readonly #session: MeteredSession;

  constructor(options: PeerSessionOptions) {
    this.#options = options;
    this.#session = new MeteredSession({
      ...options,
      ...{ other: 'the peer', leaving: 'the comm server stops', queuedBytesMax: QUEUED_BYTES_MAX },
      tell: () => this.tell(),
      take: (message) => this.#take(message),
    });
  }

  get runId(): string {
    return this.#options.runId;
  }

  get remote(): string {
    return this.#options.channel.remote;
  }

  get bytesPerS(): number | null {
    return this.#session.bytesPerS;
  }

  get roomBytes(): number {
    return this.#session.roomBytes;
  }

  /** Until it ends. @throws KomError that says why; the signal's reason when aborted */
  async run(signal: AbortSignal): Promise<never> {
    const { channel, heard } = this.#options;
    channel.whenHeard(heard);
    try {
      return await this.#session.run(signal);
    } finally {
      channel.whenHeard(() => {});
    }
  }

  /** Another connection took its place. */
  replaced(): void {
    this.#options.channel.bye('replaced', 'the peer connected again');
    this.#session.end(new KomError('KOM_CONNECTION_LOST', 'the peer connected again'));
  }

  /** Says the state, if anything leaves at all. */
  tell(): void {
    const { channel, word } = this.#options;
    if (this.#session.isQueueing) return;
    this.#session.say({ type: 'peerState', state: word(channel.receivedBytes) });
  }

  handOver(request: HandoverRequest): void {
    this.#session.send({ type: 'handover', request });
  }

  /** False: there is no room, and `roomed` tells when there is. */
  sendMirror(message: MirrorMessage): boolean {
    return this.#session.give(message);
  }

  #take(message: Message): void {
    const { told, handover, mirrored } = this.#options;
    if (message.type === 'peerState') {
      this.#session.arrived(message.state.receivedBytes);
      told(message.state);
    } else if (message.type === 'handover') handover(message.request);
    else if (isMirrorMessage(message)) mirrored(message);
    else throw new KomError('KOM_PROTOCOL_STATE', `a message ${message.type} on a peer link`);
  }
}
