import { type DecodedBlock, ENTRY_KIND_MASK, EntryKind } from '../../domain/block/block.ts';
import type { SequenceRange } from '../../domain/coverage.ts';
import { KomError } from '../../domain/errors.ts';
import { type SequenceSteps, stepAt } from '../../domain/sequence-steps.ts';
import { ChunkWriter } from './chunk.ts';
import { CHUNK_ROWS, type Database } from './duckdb.ts';
import { FLAGS_DEVICE_TIMED, FLAGS_MARKS_SHIFT } from './sample-flags.ts';
import {
  createSamplesTable,
  INTEGER_IN_VALUE_MAX,
  type Month,
  monthOf,
  SAMPLE_COLUMNS,
  type SampleColumn,
} from './schema.ts';
import { orderByTag } from './tag-order.ts';

const TYPES = SAMPLE_COLUMNS.map(([, type]) => type);
const TAG = columnIndex('tag');
const SOURCE_US = columnIndex('source_us');
const RECEIVED_US = columnIndex('received_us');
const FLAGS = columnIndex('flags');
const VALUE = columnIndex('value');
const TEXT = columnIndex('text');
const QUALITY = columnIndex('quality');
const STREAM = columnIndex('stream');
const SEQUENCE = columnIndex('sequence');

/** Rows that are sorted at once: a row group. */
const SORTED_ROWS_MAX = 122_880;

/** Rows after which the event loop turns: about ten milliseconds of work. */
const PIECE_ROWS = 8 * CHUNK_ROWS;

/** What a block's rows need beside its columns. */
export interface BlockRows {
  readonly block: DecodedBlock;
  /** Numbers to insert, ascending; entries that are not samples are passed over. */
  readonly ranges: readonly SequenceRange[];
  /** Tag ids of the archive by the tag index of the block's dictionary. */
  readonly tagIds: Int32Array;
  /** Small id of the stream. */
  readonly stream: number;
  readonly receivedAtUs: number;
  /** Bits of `Mark`. */
  readonly marks: number;
  /** What the stream's clock was off. */
  readonly clockOffsets: SequenceSteps;
}

/**
 * Writes samples into the tables of their months within one transaction. Bounded: one row group of
 * positions and one chunk for each month that the transaction touches.
 */
export class SampleAppender {
  readonly #database: Database;
  readonly #tables: Set<string>;
  readonly #rowsMax: number;
  readonly #writers = new Map<string, MonthWriter>();
  #current: MonthWriter | undefined;

  /** `tables` are those that there are; a table that is made is added. `rowsMax`: what is to be written. */
  constructor(database: Database, tables: Set<string>, rowsMax: number) {
    this.#rowsMax = Math.max(1, Math.min(rowsMax, SORTED_ROWS_MAX));
    this.#database = database;
    this.#tables = tables;
  }

  /** @throws KomError KOM_BLOCK_CORRUPT if a tag index is not in the dictionary */
  async append(rows: BlockRows): Promise<void> {
    const { block, ranges, clockOffsets } = rows;
    const { firstSequence } = block.header;
    for (const { first, last } of ranges) {
      for (let at = first - firstSequence; at <= last - firstSequence; at++) {
        if (((block.kinds[at] as number) & ENTRY_KIND_MASK) > EntryKind.text) continue;
        const stampedUs = block.sourceTimesUs[at] as number;
        const isOff = clockOffsets.length > 0 && block.deviceTimesUs.get(at) !== stampedUs;
        const timeUs = isOff ? stampedUs + stepAt(clockOffsets, firstSequence + at) : stampedUs;
        let writer = this.#current;
        if (writer === undefined || timeUs < writer.month.fromUs || timeUs >= writer.month.toUs) {
          writer = await this.#open(monthOf(timeUs));
          this.#current = writer;
        }
        writer.add(rows, at, timeUs);
        if (writer.isFull) await writer.writeRows();
      }
    }
  }

  /** Hands everything to the database; the samples are in when the transaction is. */
  async finish(): Promise<void> {
    for (const writer of this.#writers.values()) await writer.finish();
  }

  /** Lets go of the appenders after a failure; what they hold is dropped with the transaction. */
  abandon(): void {
    for (const writer of this.#writers.values()) writer.chunks.abandon();
  }

  async #open(month: Month): Promise<MonthWriter> {
    const known = this.#writers.get(month.table);
    if (known !== undefined) return known;
    if (!this.#tables.has(month.table)) await this.#database.write(createSamplesTable(month.table));
    this.#tables.add(month.table);
    const writer = new MonthWriter(
      month,
      await ChunkWriter.open(this.#database, month.table, TYPES),
      this.#rowsMax,
    );
    this.#writers.set(month.table, writer);
    return writer;
  }
}

/**
 * Rows of a month, by tag within what is written at once. A question about one tag then reads a vector or
 * two of a row group and passes over the others, and the tags compress to nearly nothing.
 */
class MonthWriter {
  readonly month: Month;
  readonly chunks: ChunkWriter;
  /** Blocks that wait, and for each row its block, its position there, its corrected time and its tag. */
  #blocks: BlockRows[] = [];
  #rowCount = 0;
  readonly #blockOf: Uint32Array;
  readonly #positions: Uint32Array;
  readonly #timesUs: Float64Array;
  readonly #tags: Uint32Array;

  constructor(month: Month, chunks: ChunkWriter, rowsMax: number) {
    this.month = month;
    this.chunks = chunks;
    this.#blockOf = new Uint32Array(rowsMax);
    this.#positions = new Uint32Array(rowsMax);
    this.#timesUs = new Float64Array(rowsMax);
    this.#tags = new Uint32Array(rowsMax);
  }

  add(rows: BlockRows, at: number, timeUs: number): void {
    const tag = rows.tagIds[rows.block.tagIndexes[at] as number];
    if (tag === undefined) {
      throw new KomError('KOM_BLOCK_CORRUPT', `tag ${rows.block.tagIndexes[at]} is not in its dictionary`);
    }
    if (this.#blocks.at(-1) !== rows) this.#blocks.push(rows);
    const row = this.#rowCount++;
    this.#blockOf[row] = this.#blocks.length - 1;
    this.#positions[row] = at;
    this.#timesUs[row] = timeUs;
    this.#tags[row] = tag;
  }

  get isFull(): boolean {
    return this.#rowCount === this.#tags.length;
  }

  async finish(): Promise<void> {
    await this.writeRows();
    this.chunks.finish();
  }

  /** Hands over what waits, in pieces: live values come in between. */
  async writeRows(): Promise<void> {
    let written = 0;
    if (this.#rowCount > PIECE_ROWS) await this.chunks.pause();
    for (const row of orderByTag(this.#tags.subarray(0, this.#rowCount))) {
      if (++written % PIECE_ROWS === 0) await this.chunks.pause();
      const rows = this.#blocks[this.#blockOf[row] as number] as BlockRows;
      this.#write(rows, this.#positions[row] as number, row);
    }
    this.#blocks = [];
    this.#rowCount = 0;
  }

  #write({ block, stream, receivedAtUs, marks }: BlockRows, at: number, row: number): void {
    const entry = block.kinds[at] as number;
    const chunks = this.chunks;
    chunks.setNumber(TAG, this.#tags[row] as number);
    chunks.setInteger(SOURCE_US, this.#timesUs[row] as number);
    chunks.setInteger(RECEIVED_US, receivedAtUs);
    const isDeviceTimed = block.deviceTimesUs.get(at) === block.sourceTimesUs[at];
    const flags = entry | (isDeviceTimed ? FLAGS_DEVICE_TIMED : 0) | (marks << FLAGS_MARKS_SHIFT);
    chunks.setNumber(FLAGS, flags);
    chunks.setNumber(VALUE, this.#valueOf(block, at, entry & ENTRY_KIND_MASK));
    chunks.setNumber(QUALITY, block.qualities[at] as number);
    chunks.setNumber(STREAM, stream);
    chunks.setInteger(SEQUENCE, block.header.firstSequence + at);
    chunks.nextRow();
  }

  /** What `value` holds; what it cannot hold goes into `text`. */
  #valueOf(block: DecodedBlock, at: number, kind: number): number {
    switch (kind) {
      case EntryKind.float64:
        return block.floats[at] as number;
      case EntryKind.true:
        return 1;
      case EntryKind.int64: {
        const value = Number(block.integers[at]);
        if (Math.abs(value) <= INTEGER_IN_VALUE_MAX) return value;
        this.chunks.setText(TEXT, String(block.integers[at]));
        return 0;
      }
      case EntryKind.text:
        this.chunks.setText(TEXT, block.texts.get(at) ?? '');
        return 0;
      default:
        return 0;
    }
  }
}

function columnIndex(name: SampleColumn): number {
  return SAMPLE_COLUMNS.findIndex(([each]) => each === name);
}
