import type { Block } from '../domain/block/block.ts';
import { POISON_BLOCKS_MAX, type PoisonBlock } from './poison.ts';
import type { Replays } from './replays.ts';
import type { Ring } from './ring.ts';

/**
 * Refused blocks that are to be sent once more, each one alone; at most as many as the poison folder keeps.
 */
export class Offers {
  readonly #ring: Ring;
  readonly #replays: Replays;
  readonly #more: () => void;
  readonly #waiting: Block[] = [];
  readonly #given = new WeakSet<Block>();

  /** `more` is called when there is something new. */
  constructor(ring: Ring, replays: Replays, more: () => void) {
    this.#ring = ring;
    this.#replays = replays;
    this.#more = more;
  }

  /** @throws KomError KOM_STORE_WRITE if its dictionary cannot be made known */
  async add({ block, dictionary }: PoisonBlock): Promise<void> {
    const { streamId, firstSequence, dictionaryHash: hash } = block.header;
    if (dictionary !== undefined) await this.#ring.putDictionary({ hash, bytes: dictionary });
    const isThere = this.#waiting.some(
      ({ header }) => header.streamId === streamId && header.firstSequence === firstSequence,
    );
    if (isThere || this.#waiting.length >= POISON_BLOCKS_MAX) return;
    this.#given.add(block);
    this.#waiting.push(block);
    this.#more();
  }

  /** The next one; empty when none waits. */
  next(): Block[] {
    return this.#waiting.splice(0, 1);
  }

  /** What a message says of a block beside its bytes. */
  manner(block: Block): { readonly repair?: true; readonly confirm?: true } {
    const isConfirmed = this.#given.has(block) || this.#replays.wantsConfirmation(block);
    const isRepair = this.#replays.isRepair(block);
    return { ...(isRepair ? { repair: true } : {}), ...(isConfirmed ? { confirm: true } : {}) };
  }
}
