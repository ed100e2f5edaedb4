import type { EntryRun } from '../entry-run.ts';
import type { Block } from './block.ts';
import { BlockBuilder } from './builder.ts';

/** Bytes before compression of one block. */
const BODY_BYTES = 256 * 1024;

/** Makes blocks again of what an archive has. Used again and again: its memory stays. */
export class RunEncoder {
  readonly #builder = new BlockBuilder();

  /** The blocks of a run, with the numbers and the term that its entries have, of so many at most. */
  encode({ entries, ...run }: EntryRun, entriesMax: number): Block[] {
    const builder = this.#builder;
    const blocks: Block[] = [];
    let { firstSequence } = run;
    const seal = (): void => {
      const { streamId, dictionaryHash, term, isClockUncertain } = run;
      const { count } = builder;
      const uncertain = isClockUncertain ? { isClockUncertain } : {};
      blocks.push(
        builder.seal({ streamId, firstSequence, dictionaryHash, sealedMonotonicUs: 0, term, ...uncertain }),
      );
      firstSequence += count;
    };
    builder.clear();
    for (const entry of entries) {
      builder.add(entry);
      if (builder.count >= entriesMax || builder.bodyBytesMax >= BODY_BYTES) seal();
    }
    if (builder.count > 0) seal();
    return blocks;
  }
}
