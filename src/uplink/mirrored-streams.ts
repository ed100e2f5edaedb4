import type { UplinkMirror } from './block-source.ts';
import type { Message, StreamCoverage } from './messages.ts';

/** So often a list goes out though it is as it was: the owner may have delivered what is on it. */
const AGAIN_EVERY = 32;

/** What one session and its Kernel say of mirrored streams, on the control lane. */
export class MirroredStreams {
  readonly #mirror: UplinkMirror;
  readonly #send: (message: Message) => void;
  /** A Kernel that was never told of any need not be told of none. */
  #told = '[]';
  #since = 0;

  constructor(mirror: UplinkMirror, send: (message: Message) => void) {
    this.#mirror = mirror;
    this.#send = send;
  }

  /** Tells what is held, where it changed or may be archived by now; the Kernel says what of it is. */
  tell(): void {
    const streams = this.#mirror.streams();
    const told = JSON.stringify(streams);
    const isDue = ++this.#since >= AGAIN_EVERY && streams.length > 0;
    if (told === this.#told && !isDue) return;
    this.#told = told;
    this.#since = 0;
    this.#send({ type: 'mirrorStreams', streams });
  }

  /** The Kernel archived something. */
  acknowledged(coverage: readonly StreamCoverage[]): void {
    if (coverage.some(({ streamId }) => this.#mirror.backlog.owns(streamId))) this.#since = AGAIN_EVERY;
  }

  /** False: it is about something else. */
  take(message: Message): boolean {
    if (message.type === 'deliveryRight') this.#mirror.granted(message.streamIds);
    else if (message.type === 'mirrorAck') this.#mirror.archivedCoverage(message.coverage);
    else return false;
    return true;
  }
}
