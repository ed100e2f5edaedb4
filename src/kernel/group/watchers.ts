import type { Channel } from '../../uplink/channel.ts';
import type { KernelWord } from '../../uplink/messages.ts';
import type { Pace } from '../../uplink/silence.ts';
import type { Clock } from '../../world/clock.ts';

/** Agents that want to know who is hot. */
export class Watchers {
  readonly #clock: Clock;
  readonly #word: (receivedBytes: number) => KernelWord;
  readonly #tells = new Set<() => void>();

  constructor(clock: Clock, word: (receivedBytes: number) => KernelWord) {
    this.#clock = clock;
    this.#word = word;
  }

  /** Tells one of them at its pace, until the connection ends. */
  async serve(channel: Channel, pace: Pace): Promise<void> {
    const tell = (): void => {
      channel.send({ type: 'kernelWord', word: this.#word(channel.receivedBytes) }).catch(() => {
        // Whoever reads the connection sees that it is over.
      });
    };
    const timer = this.#clock.repeat('watch', pace.heartbeatMs, tell);
    this.#tells.add(tell);
    tell();
    try {
      while ((await channel.receive()) !== null) {
        // What an agent says here is only that it is there.
      }
    } finally {
      timer.cancel();
      this.#tells.delete(tell);
    }
  }

  /** Something changed. */
  tell(): void {
    for (const tell of this.#tells) tell();
  }
}
