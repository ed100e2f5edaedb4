import { isKomError } from '../domain/errors.ts';
import type { SequenceGap } from '../domain/gap.ts';
import type { Clock, Timer } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { BlockStore } from './block-source.ts';
import { type Recovered, recovered } from './recovered.ts';

/** A disk that does not give what it holds is asked again then; meanwhile everything else goes on. */
const RETRY_MS = 1000;

export interface LostAgainOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** It may be tried again. */
  readonly wake: () => void;
}

/** How it goes over the lane. */
export interface AgainPort {
  readonly isOver: () => boolean;
  /** Resolves to how many bytes may be read at once. */
  readonly untilRoom: () => Promise<number>;
  readonly send: (part: Recovered, backlog: BlockStore) => Promise<void>;
}

interface Lost {
  rest: SequenceGap;
  readonly backlog: BlockStore;
}

/**
 * What a Kernel lost since it had acknowledged it: the ring may still hold it, and the rest is a gap. It goes
 * before anything else, unless the disk gives nothing: that must not keep a session from its present values.
 */
export class LostAgain {
  readonly #options: LostAgainOptions;
  #lost: Lost[] = [];
  #retry: Timer | null = null;

  constructor(options: LostAgainOptions) {
    this.#options = options;
  }

  add(gap: SequenceGap, backlog: BlockStore): void {
    const { streamId, firstSequence, lastSequence: last } = gap;
    this.#options.log.warn({ streamId, firstSequence, last }, 'the Kernel lost what it had acknowledged');
    this.#lost.push({ rest: gap, backlog });
  }

  /** Until all is sent, or the disk gives nothing; then `wake` tells when there is a next time. */
  async send(port: AgainPort): Promise<void> {
    if (this.#retry !== null) return;
    const left: Lost[] = [];
    for (const lost of this.#lost) if (!(await this.#sendOne(lost, port))) left.push(lost);
    this.#lost = left;
    if (left.length === 0 || port.isOver()) return;
    this.#retry = this.#options.clock.schedule('lost values', RETRY_MS, () => {
      this.#retry = null;
      this.#options.wake();
    });
  }

  stop(): void {
    this.#retry?.cancel();
  }

  /** False: some of it is still to be sent. */
  async #sendOne(lost: Lost, port: AgainPort): Promise<boolean> {
    const parts = recovered(lost.rest, lost.backlog, port.untilRoom);
    while (true) {
      const part = await this.#read(parts);
      if (part === undefined) return false;
      if (part === null || port.isOver()) return true;
      await port.send(part, lost.backlog);
      if (part.rest === null) return true;
      lost.rest = part.rest;
    }
  }

  /** `null`: there is no more; `undefined`: the disk does not give it. */
  async #read(parts: AsyncGenerator<Recovered>): Promise<Recovered | null | undefined> {
    try {
      const { value, done } = await parts.next();
      return done === true ? null : value;
    } catch (error) {
      if (!isKomError(error) || error.code === 'KOM_STORE_CLOSED') throw error;
      this.#options.log.warn({ error: error.message }, 'what the Kernel lost cannot be read now');
      return undefined;
    }
  }
}
