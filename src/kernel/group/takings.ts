import { KomError } from '../../domain/errors.ts';
import type { Reign } from '../../domain/reign.ts';
import type { Channel } from '../../uplink/channel.ts';
import type { Pace } from '../../uplink/silence.ts';
import type { KernelLinkOptions } from './kernel-link.ts';
import { KernelSession, type KernelSessionOptions } from './kernel-session.ts';
import { Taker, type TakerOptions } from './taker.ts';

export interface TakingsOptions
  extends Omit<TakerOptions, 'isFromHot' | 'answer' | 'failed'>,
    Pick<KernelSessionOptions, 'word'>,
    Pick<KernelLinkOptions, 'told' | 'left'> {
  readonly reign: () => Reign;
}

/** The connections of other Kernels that this one takes. */
export class Takings {
  readonly #options: TakingsOptions;
  /** With who gives. */
  readonly #sessions = new Map<KernelSession, string>();

  constructor(options: TakingsOptions) {
    this.#options = options;
  }

  /** Takes a connection of another Kernel that was checked, until it ends. @throws KomError that says why */
  async serve(name: string, channel: Channel, pace: Pace): Promise<void> {
    const session: KernelSession = new KernelSession({
      ...{ ...this.#options, channel, pace },
      told: (word) => {
        if (word.name !== name) throw new KomError('KOM_PROTOCOL_STATE', `it is ${word.name}`);
        this.#options.told(word, channel);
      },
      take: (message) => taker.take(message),
      roomed: () => {},
    });
    const taker = new Taker({
      ...this.#options,
      isFromHot: () => this.#options.reign().hot === name,
      answer: (message) => session.answer(message),
      failed: (error) => session.end(error),
    });
    this.#sessions.set(session, name);
    try {
      await session.run(new AbortController().signal);
    } finally {
      this.#sessions.delete(session);
      this.#options.left(channel);
      taker.close();
    }
  }

  /** Says the word of this Kernel on each, now. */
  tell(): void {
    for (const session of this.#sessions.keys()) session.tell();
  }

  /** Ends those of Kernels that are gone. */
  end(gone: readonly string[], error: unknown): void {
    for (const [session, from] of this.#sessions) if (gone.includes(from)) session.end(error);
  }
}
