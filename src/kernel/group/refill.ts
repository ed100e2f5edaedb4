import { type Block, lastSequence } from '../../domain/block/block.ts';
import { RunEncoder } from '../../domain/block/run-encoder.ts';
import { type Coverage, type SequenceRange, subtract } from '../../domain/coverage.ts';
import { type RangeSet, rangesOf } from '../../domain/range-set.ts';
import type { Archive } from '../../world/archive.ts';
import { Outstanding } from './outstanding.ts';

/**
 * What of the past may be on its way: the present waits behind it at most, for as long as the taker's archive
 * needs for so much.
 */
const ON_ITS_WAY = { bytesMax: 512 * 1024, entriesMax: 32_768 };
/** Numbers that are read of the archive at a time. */
const NUMBERS_MAX = 32_768;
/** Entries of one block: on a slow link the present waits behind one. */
const ENTRIES_MIN = 256;
const ENTRIES_MAX = 8192;
/** Bytes that an entry takes in a block, about; numbers that look random take so many. */
const ENTRY_BYTES = 8;

/** A block that was made again. */
export interface MadeBlock {
  readonly block: Block;
  /** Its rows came out of a backlog here. */
  readonly isReplayed: boolean;
}

/** What was read of the archive and not given yet. */
interface Page {
  readonly streamId: string;
  readonly blocks: readonly MadeBlock[];
}

const NO_PAGE: Page = { streamId: '', blocks: [] };

/** Makes blocks again of what the archive has and the forwarding ring does not hold any more. */
export class Refill {
  readonly #archive: Pick<Archive, 'entries'>;
  readonly #encoder = new RunEncoder();
  readonly #outstanding = new Outstanding(ON_ITS_WAY);
  /** By stream, numbers that are data and of which there is no row any more. */
  readonly #rowless = new Map<string, RangeSet>();
  #page = NO_PAGE;

  constructor(archive: Pick<Archive, 'entries'>) {
    this.#archive = archive;
  }

  get isFull(): boolean {
    return this.#outstanding.isFull;
  }

  /** Numbers of a stream that turned out to have no row any more. */
  rowless(streamId: string): readonly SequenceRange[] {
    return this.#rowless.get(streamId)?.ranges ?? [];
  }

  /**
   * The first blocks of a range of data, about as large as the link has room for; none where its first
   * numbers have no row any more, which is then known. @throws KomError KOM_ARCHIVE_UNAVAILABLE
   */
  async blocks(
    streamId: string,
    { first, last }: SequenceRange,
    roomBytes: number,
  ): Promise<readonly MadeBlock[]> {
    const { blocks, streamId: read } = this.#page;
    if (read === streamId && blocks[0]?.block.header.firstSequence === first) return blocks;
    this.#page = NO_PAGE;
    const { runs, through } = await this.#archive.entries({ streamId, first, last, limit: NUMBERS_MAX });
    const there = runs.map(({ firstSequence, entries }) => ({
      first: firstSequence,
      last: firstSequence + entries.length - 1,
    }));
    for (const hole of subtract({ first, last: through }, there)) rangesOf(this.#rowless, streamId).add(hole);
    const entriesMax = Math.max(ENTRIES_MIN, Math.min(ENTRIES_MAX, Math.floor(roomBytes / ENTRY_BYTES)));
    const made = runs.flatMap((run) =>
      this.#encoder.encode(run, entriesMax).map((block) => ({ block, isReplayed: run.isReplayed })),
    );
    this.#page = { streamId, blocks: made };
    return made;
  }

  /** The first of the blocks that were asked for is on its way. */
  given({ block }: MadeBlock): void {
    const { streamId, blocks } = this.#page;
    this.#page = { streamId, blocks: blocks.filter((each) => each.block !== block) };
    this.#outstanding.given(block);
  }

  told(streamId: string, coverage: Coverage): void {
    this.#outstanding.told(streamId, coverage);
  }

  refused(streamId: string, firstSequence: number): void {
    this.#outstanding.refused(streamId, firstSequence);
  }

  /** Nothing is on its way. */
  clear(): void {
    this.#outstanding.clear();
  }

  /** Rows may be there that were not. */
  lookAgain(): void {
    this.#rowless.clear();
  }
}

/** The numbers that a block has. */
export function numbersOf({ header }: Block): SequenceRange {
  return { first: header.firstSequence, last: lastSequence(header) };
}
