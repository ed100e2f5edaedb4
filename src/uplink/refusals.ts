import { describeError } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { BlockSource } from './block-source.ts';
import type { BlockRange, Nack } from './messages.ts';

/** The block is refused as it is. An unspecified reason says nothing that could be acted upon. */
export function isForGood({ reason }: Pick<Nack, 'reason'>): boolean {
  return reason !== 'unspecified';
}

/** What becomes of blocks that the Kernel refuses for good, and of those that it took after all. */
export class Refusals {
  readonly #sources: readonly BlockSource[];
  readonly #clock: Clock;
  readonly #log: Log;

  constructor(options: {
    readonly sources: readonly BlockSource[];
    readonly clock: Clock;
    readonly log: Log;
  }) {
    this.#sources = options.sources;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /**
   * The block goes to the poison folder and its numbers become a gap. A disk that keeps neither is told to
   * the log; the block is then refused again.
   */
  async refused(nack: Nack): Promise<void> {
    const { streamId, firstSequence: first, lastSequence: last, reason, text } = nack;
    this.#log.error({ streamId, first, last, reason, text }, 'the Kernel refused a block');
    if (!isForGood(nack)) return;
    const owner = this.#sources.find(({ backlog }) => backlog.owns(streamId));
    if (owner === undefined) return;
    const { backlog, poison } = owner;
    const block = await backlog.find(streamId, { first, last });
    if (block !== undefined && poison !== undefined) {
      const dictionary = await backlog.dictionary(block.header.dictionaryHash);
      await poison.keep({ block, dictionary }, { reason, text }).catch((error: unknown) => {
        this.#log.error(
          { streamId, first, error: describeError(error) },
          'a refused block could not be kept',
        );
      });
    }
    // Not here any more: it happened about now, for all that is known.
    const { fromUs, toUs } = block?.header ?? { fromUs: this.#clock.wallUs(), toUs: this.#clock.wallUs() };
    const range = { streamId, firstSequence: first, count: last - first + 1, fromUs, toUs };
    await backlog.reject(range, 'rejected');
  }

  /** Blocks that were sent once more are archived: nobody needs to keep them aside any longer. */
  archived(ranges: readonly BlockRange[]): void {
    for (const { streamId, firstSequence } of ranges) {
      for (const { poison } of this.#sources) {
        poison
          ?.forget(streamId, firstSequence)
          .then((isForgotten) => {
            if (isForgotten)
              this.#log.info({ streamId, firstSequence }, 'a refused block is archived after all');
          })
          .catch((error: unknown) => {
            this.#log.warn(
              { streamId, firstSequence, error: describeError(error) },
              'the poison folder keeps it',
            );
          });
      }
    }
  }
}
