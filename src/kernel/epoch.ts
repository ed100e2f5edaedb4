import { checkedCounter } from '../uplink/limits.ts';
import type { Archive } from '../world/archive.ts';
import type { Log } from '../world/log.ts';

/**
 * The epoch of this Kernel: durable in its archive and never lowered. A Kernel that meets an agent which has
 * seen a higher one, because its archive was restored or made anew, goes above it before it welcomes anybody.
 * In one run it goes no further than an agent follows which knew the epoch of the beginning: what one agent
 * claims, however often, locks no other one out.
 */
export class KernelEpoch {
  readonly #archive: Archive;
  readonly #log: Log;
  #turn: Promise<number> = Promise.resolve(0);
  /** What the archive had when this run first asked. */
  #first: number | null = null;

  constructor(options: { readonly archive: Archive; readonly log: Log }) {
    this.#archive = options.archive;
    this.#log = options.log;
  }

  /**
   * The epoch, above what an agent claims to have seen; durable when it resolves.
   * @throws KomError KOM_LIMIT_EXCEEDED for a claim that is too far ahead, KOM_ARCHIVE_UNAVAILABLE
   */
  met(claimed: number): Promise<number> {
    const turn = this.#turn.then(
      () => this.#raise(claimed),
      () => this.#raise(claimed),
    );
    this.#turn = turn;
    return turn;
  }

  async #raise(claimed: number): Promise<number> {
    const known = await this.#archive.kernelEpoch();
    this.#first ??= known;
    checkedCounter('epoch of a Kernel', claimed + 1, this.#first);
    if (known > 0 && claimed <= known) return known;
    const epoch = Math.max(known, claimed) + 1;
    await this.#archive.raiseKernelEpoch(epoch);
    this.#log.info({ epoch, claimed }, 'the epoch of this Kernel is raised');
    return epoch;
  }
}
