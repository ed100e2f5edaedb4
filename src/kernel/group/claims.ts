import { isKomError } from '../../domain/errors.ts';
import type { Reign } from '../../domain/reign.ts';
import { checkedCounter } from '../../uplink/limits.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { Other } from './others.ts';
import { comes } from './wait-for.ts';

/** Another Kernel that is there says a word twice a second, and is given up after so long. */
const ANSWER_MAX_MS = 3000;

export interface ClaimsOptions {
  readonly reign: () => Reign;
  readonly others: { values(): readonly Pick<Other, 'word' | 'heardMs'>[] };
  readonly takesSessions: () => boolean;
  /** This Kernel stays hot above an epoch, durably. @throws KomError KOM_STORE_…, KOM_ARCHIVE_UNAVAILABLE */
  readonly goAbove: (epoch: number) => Promise<void>;
  /** Another one may be hot in this epoch. @throws KomError KOM_STORE_… */
  readonly standDown: (epoch: number) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * What agents say to have seen of an epoch that this Kernel does not know. Such a claim proves nothing: the
 * agent may have its data from another plant. It is believed only where a Kernel that might be hot in that
 * epoch cannot be asked.
 */
export class Claims {
  readonly #options: ClaimsOptions;
  /** The epoch that no claim made. */
  #groundEpoch = 0;
  /** Where claims have led to. */
  #claimedEpoch = 0;
  #highest = 0;
  #isSettling = false;

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  /** The highest epoch that an agent said to have seen since this Kernel started; 0: none said so. */
  get highest(): number {
    return this.#highest;
  }

  /**
   * Begins to ask the others, if they are not asked already; meanwhile the agent tries elsewhere.
   * All claims together lead no further than another agent or Kernel follows: what one says, however often,
   * locks nobody out. @throws KomError KOM_LIMIT_EXCEEDED
   */
  heard(claimed: number, by: string): void {
    const { reign } = this.#options;
    if (reign().epoch !== this.#claimedEpoch) this.#groundEpoch = reign().epoch;
    checkedCounter('epoch of a Kernel', claimed + 1, this.#groundEpoch);
    this.#highest = Math.max(this.#highest, claimed);
    if (this.#isSettling) return;
    this.#isSettling = true;
    this.#settle(claimed, by)
      .catch((error: unknown) => {
        if (!isKomError(error)) throw error;
        this.#options.log.error(
          { claimed, by, error: error.message },
          'what an agent has seen is not settled',
        );
      })
      .finally(() => {
        this.#isSettling = false;
      });
  }

  async #settle(claimed: number, by: string): Promise<void> {
    const { reign, takesSessions, log, goAbove, standDown } = this.#options;
    if (claimed <= reign().epoch || !takesSessions()) return;
    const isAnswered = await this.#asked();
    // Who answered may have said more.
    if (claimed <= reign().epoch || !takesSessions()) return;
    const fields = { claimed, by, epoch: reign().epoch };
    if (isAnswered && this.#words().every((word) => word.reign.epoch < claimed)) {
      log.warn(fields, 'an agent has seen an epoch that no Kernel here knows: this one stays hot, above it');
      await goAbove(claimed);
    } else {
      log.error(fields, 'an agent has seen an epoch in which a Kernel may be hot that does not answer');
      await standDown(claimed);
    }
    this.#claimedEpoch = reign().epoch;
  }

  /** Whether every other Kernel of the file says a word now. */
  async #asked(): Promise<boolean> {
    const { clock, others } = this.#options;
    const fromMs = clock.monotonicMs();
    const isHeard = () => others.values().every(({ heardMs }) => heardMs !== null && heardMs > fromMs);
    return await comes({ clock, maxMs: ANSWER_MAX_MS, isThere: isHeard });
  }

  #words() {
    return this.#options.others.values().flatMap(({ word }) => (word === null ? [] : [word]));
  }
}
