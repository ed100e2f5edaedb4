import { isKomError } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Connection } from '../world/transport.ts';
import { Channel } from './channel.ts';
import { greet } from './greet.ts';
import type { Hello, KernelWord } from './messages.ts';
import { agreedPace, SilenceWatch, silenceCheckMs } from './silence.ts';

/** A Kernel that does not answer is asked again after this time. */
const RETRY_MS = 1000;
/** One that has nothing to tell, because it is the only one or of an older version. */
const SILENT_RETRY_MS = 600_000;

export interface KernelWatchOptions {
  /** The one that there is a session with, by number; `null`: none. */
  readonly present: () => number | null;
  readonly connect: (index: number, signal: AbortSignal) => Promise<Connection>;
  readonly hello: () => Hello;
  readonly name: (index: number) => string;
  readonly timeoutMs: number;
  /** A connection came up. */
  readonly answered: (index: number) => void;
  readonly told: (index: number, word: KernelWord) => void;
  /** A connection is over, or did not come up; `error`: why, where that is known. */
  readonly over: (index: number, error: string | null) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Keeps a connection to every Kernel of the site but the one in use, over which each says whether it is hot.
 * So an agent knows of a switch as soon as it happened, whatever the other end of its session still believes.
 */
export class KernelWatch {
  readonly #options: KernelWatchOptions;

  constructor(options: KernelWatchOptions) {
    this.#options = options;
  }

  /** These Kernels, by number, until the signal. */
  async run(kernels: readonly number[], signal: AbortSignal): Promise<void> {
    await Promise.all(kernels.map((index) => this.#watch(index, signal)));
  }

  async #watch(index: number, signal: AbortSignal): Promise<void> {
    const { clock, present, log, name, over } = this.#options;
    while (!signal.aborted) {
      let waitMs = RETRY_MS;
      try {
        if (present() !== index && (await this.#listen(index, signal)) === 'nothing')
          waitMs = SILENT_RETRY_MS;
      } catch (error) {
        if (signal.aborted) return;
        if (!isKomError(error)) throw error;
        // Over the same path there is a session now.
        if (present() !== index) over(index, error.message);
        log.debug({ kernel: name(index), error: error.message }, 'a Kernel does not say whether it is hot');
      }
      await clock.sleep(waitMs, signal).catch(() => {});
    }
  }

  /** One connection, to its end. `nothing`: this Kernel has nothing to tell. */
  async #listen(index: number, signal: AbortSignal): Promise<'nothing' | 'over'> {
    const { clock, connect, hello, name, timeoutMs, answered, told, over, present } = this.#options;
    const channel = new Channel(await connect(index, signal), clock);
    const stop = (): void => channel.destroy();
    signal.addEventListener('abort', stop, { once: true });
    const pace = agreedPace(await greet(channel, { hello: hello(), kernel: name(index), timeoutMs, signal }));
    answered(index);
    const silence = new SilenceWatch(pace.silenceMaxMs, clock.monotonicMs());
    const timer = clock.repeat('watch silence', silenceCheckMs(pace.silenceMaxMs), () => {
      if (silence.isDead(clock.monotonicMs(), channel.silentMs) || present() === index) channel.destroy();
    });
    let words = 0;
    try {
      for (;;) {
        const message = await channel.receive();
        if (message === null || message.type === 'bye') return words === 0 ? 'nothing' : 'over';
        if (message.type !== 'kernelWord') continue;
        words += 1;
        told(index, message.word);
      }
    } finally {
      timer.cancel();
      signal.removeEventListener('abort', stop);
      channel.destroy();
      over(index, null);
    }
  }
}
