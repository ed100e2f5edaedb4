import { describeError, KomError } from '../domain/errors.ts';
import type { Log } from '../world/log.ts';
import type { SideStore } from '../world/side-store.ts';
import { checkedCounter } from './limits.ts';

const KEY = Buffer.from('kernel-epoch');

/** The highest epoch of a Kernel that this agent has seen; durable beside its ring. */
export class SeenEpochs {
  readonly #notes: SideStore;
  readonly #log: Log;
  #highest: number;

  private constructor(notes: SideStore, log: Log, highest: number) {
    this.#notes = notes;
    this.#log = log;
    this.#highest = highest;
  }

  /** A disk that tells nothing is told to the log; the agent then knows of no epoch. */
  static async load(notes: SideStore, log: Log): Promise<SeenEpochs> {
    try {
      const value = await notes.look(undefined, (store) => store.get(KEY));
      const highest = value === undefined ? 0 : Number(Buffer.from(value).toString());
      return new SeenEpochs(notes, log, Number.isSafeInteger(highest) ? highest : 0);
    } catch (error) {
      log.warn({ error: describeError(error) }, 'the highest epoch of a Kernel is not known');
      return new SeenEpochs(notes, log, 0);
    }
  }

  get highest(): number {
    return this.#highest;
  }

  /**
   * A Kernel welcomes with this epoch; 0: it keeps none. Remembered when it resolves, durably as far as the
   * disk allows. @throws KomError KOM_CONNECTION_REFUSED for one that was overtaken, KOM_LIMIT_EXCEEDED for a
   * jump
   */
  async met(epoch: number): Promise<void> {
    if (epoch === 0 || epoch === this.#highest) return;
    if (epoch < this.#highest) {
      throw new KomError('KOM_CONNECTION_REFUSED', 'the Kernel was overtaken by another one', {
        expected: `an epoch of ${this.#highest} or higher`,
        got: String(epoch),
      });
    }
    this.#highest = checkedCounter('epoch of a Kernel', epoch, this.#highest);
    try {
      await this.#notes.use((store) =>
        store.batch([{ type: 'put', key: KEY, value: Buffer.from(String(epoch)) }], { sync: true }),
      );
    } catch (error) {
      this.#log.warn(
        { epoch, error: describeError(error) },
        'the epoch of the Kernel is kept in memory only',
      );
    }
  }
}
