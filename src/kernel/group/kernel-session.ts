import type { Channel } from '../../uplink/channel.ts';
import type { KernelWord, Message } from '../../uplink/messages.ts';
import { MeteredSession } from '../../uplink/metered-session.ts';
import type { Pace } from '../../uplink/silence.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';

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

/** One connection between two Kernels after its handshake, the same on both sides. */
export class KernelSession {
  readonly #options: KernelSessionOptions;
  readonly #session: MeteredSession;

  constructor(options: KernelSessionOptions) {
    this.#options = options;
    this.#session = new MeteredSession({
      ...options,
      ...{ other: 'the other Kernel', leaving: 'the Kernel stops' },
      tell: () => this.tell(),
      take: (message) => this.#take(message),
    });
  }

  get roomBytes(): number {
    return this.#session.roomBytes;
  }

  /** Until it ends. @throws KomError that says why; the signal's reason when aborted */
  run(signal: AbortSignal): Promise<never> {
    return this.#session.run(signal);
  }

  /** Says what this Kernel knows of the group, now. */
  tell(): void {
    const { channel, word } = this.#options;
    this.#session.say({ type: 'kernelWord', word: word(channel.receivedBytes) });
  }

  /** False: there is no room, and `roomed` tells when there is. */
  give(message: Message): boolean {
    return this.#session.give(message);
  }

  /** An answer: it is small, and goes whatever waits. */
  answer(message: Message): void {
    this.#session.send(message);
  }

  end(error: unknown): void {
    this.#session.end(error);
  }

  #take(message: Message): void {
    if (message.type === 'kernelWord') {
      this.#session.arrived(message.word.receivedBytes);
      this.#options.told(message.word);
    } else this.#options.take(message);
  }
}
