import {
  type DecodedBlock,
  ENTRY_CAUSE_SHIFT,
  ENTRY_KIND_MASK,
  EntryKind,
} from '../../domain/block/block.ts';
import { type ClockOffsets, clockOffsetAt } from '../../domain/clock-offsets.ts';
import type { SequenceRange } from '../../domain/coverage.ts';
import { KomError } from '../../domain/errors.ts';
import { type Appender, CHUNK_ROWS, type Chunk, type Database } from './duckdb.ts';
import {
  createSamplesTable,
  type Month,
  monthOf,
  NO_DEVICE_TIME,
  SAMPLE_COLUMNS,
  type SampleColumn,
} from './schema.ts';

const TYPES = SAMPLE_COLUMNS.map(([, type]) => type);

/** What a block's rows need beside its columns. */
export interface BlockRows {
  readonly block: DecodedBlock;
  /** Numbers to insert, ascending; entries that are time gaps are passed over. */
  readonly ranges: readonly SequenceRange[];
  /** Tag ids of the archive by the tag index of the block's dictionary. */
  readonly tagIds: Int32Array;
  /** Small id of the stream. */
  readonly stream: number;
  readonly receivedAtUs: number;
  readonly marks: number;
  readonly term: number;
  readonly clockOffsets: ClockOffsets;
}

/**
 * Writes samples into the tables of their months within one transaction. Bounded: one chunk of
 * `CHUNK_ROWS` rows for each month that the transaction touches.
 */
export class SampleAppender {
  readonly #database: Database;
  readonly #tables: Set<string>;
  readonly #writers = new Map<string, MonthWriter>();
  #current: MonthWriter | undefined;

  /** `tables` are those that there are; a table that is made is added. */
  constructor(database: Database, tables: Set<string>) {
    this.#database = database;
    this.#tables = tables;
  }

  /** @throws KomError KOM_BLOCK_CORRUPT if a tag index is not in the dictionary */
  async append(rows: BlockRows): Promise<void> {
    const { block, ranges } = rows;
    const received = BigInt(rows.receivedAtUs);
    for (const { first, last } of ranges) {
      const end = last - block.header.firstSequence;
      for (let at = first - block.header.firstSequence; at <= end; at++) {
        if (((block.kinds[at] as number) & ENTRY_KIND_MASK) === EntryKind.timeGap) continue;
        const offsetUs = clockOffsetAt(rows.clockOffsets, block.header.firstSequence + at);
        const timeUs = (block.sourceTimesUs[at] as number) + offsetUs;
        let writer = this.#current;
        if (writer === undefined || timeUs < writer.month.fromUs || timeUs >= writer.month.toUs) {
          writer = await this.#open(monthOf(timeUs));
          this.#current = writer;
        }
        writer.add(rows, at, { received, timeUs, offsetUs });
      }
    }
  }

  /** Hands everything to the database; the samples are in when the transaction is. */
  finish(): void {
    for (const writer of this.#writers.values()) writer.finish();
  }

  /** Lets go of the appenders after a failure; what they hold is dropped with the transaction. */
  abandon(): void {
    for (const writer of this.#writers.values()) writer.abandon();
  }

  async #open(month: Month): Promise<MonthWriter> {
    const known = this.#writers.get(month.table);
    if (known !== undefined) return known;
    if (!this.#tables.has(month.table)) await this.#database.write(createSamplesTable(month.table));
    this.#tables.add(month.table);
    const writer = new MonthWriter(month, this.#database, await this.#database.appender(month.table));
    this.#writers.set(month.table, writer);
    return writer;
  }
}

/** One vector of a chunk for each column, by the order of `SAMPLE_COLUMNS`. */
type Column = ReturnType<Chunk['getColumnVector']>;

class MonthWriter {
  readonly month: Month;
  readonly #database: Database;
  readonly #appender: Appender;
  #chunk: Chunk;
  #columns: Columns;
  #rows = 0;

  constructor(month: Month, database: Database, appender: Appender) {
    this.month = month;
    this.#database = database;
    this.#appender = appender;
    this.#chunk = database.chunk(TYPES, CHUNK_ROWS);
    this.#columns = columnsOf(this.#chunk);
  }

  add(
    { block, tagIds, stream, marks, term }: BlockRows,
    at: number,
    { received, timeUs, offsetUs }: RowTimes,
  ): void {
    const tag = tagIds[block.tagIndexes[at] as number];
    if (tag === undefined) {
      throw new KomError('KOM_BLOCK_CORRUPT', `tag ${block.tagIndexes[at]} is not in its dictionary`);
    }
    const entry = block.kinds[at] as number;
    const kind = entry & ENTRY_KIND_MASK;
    const device = block.deviceTimesUs.get(at);
    const columns = this.#columns;
    const row = this.#rows;
    columns.tag.setItem(row, tag);
    columns.sourceUs.setItem(row, BigInt(timeUs));
    columns.receivedUs.setItem(row, received);
    columns.deviceUs.setItem(row, device === undefined ? NO_DEVICE_TIME : BigInt(device));
    columns.kind.setItem(row, kind);
    columns.valueInt.setItem(row, integerColumn(block, at, kind));
    columns.valueFloat.setItem(row, kind === EntryKind.float64 ? (block.floats[at] as number) : 0);
    columns.valueText.setItem(row, kind === EntryKind.text ? (block.texts.get(at) ?? '') : null);
    columns.quality.setItem(row, block.qualities[at] as number);
    columns.cause.setItem(row, entry >>> ENTRY_CAUSE_SHIFT);
    columns.stream.setItem(row, stream);
    columns.sequence.setItem(row, BigInt(block.header.firstSequence + at));
    columns.marks.setItem(row, marks);
    columns.offsetUs.setItem(row, BigInt(offsetUs));
    columns.term.setItem(row, term);
    this.#rows = row + 1;
    if (this.#rows === CHUNK_ROWS) {
      this.#flush();
      this.#chunk = this.#database.chunk(TYPES, CHUNK_ROWS);
      this.#columns = columnsOf(this.#chunk);
      this.#rows = 0;
    }
  }

  finish(): void {
    if (this.#rows > 0) this.#flush();
    this.#appender.closeSync();
  }

  abandon(): void {
    this.#appender.clear();
  }

  #flush(): void {
    for (const column of Object.values(this.#columns)) column.flush();
    // Rows behind the last one were never set; the size keeps them from being read.
    this.#chunk.rowCount = this.#rows;
    this.#appender.appendDataChunk(this.#chunk);
  }
}

interface RowTimes {
  readonly received: bigint;
  /** Corrected. */
  readonly timeUs: number;
  readonly offsetUs: number;
}

interface Columns {
  readonly [name: string]: Column;
  readonly tag: Column;
  readonly sourceUs: Column;
  readonly receivedUs: Column;
  readonly deviceUs: Column;
  readonly kind: Column;
  readonly valueInt: Column;
  readonly valueFloat: Column;
  readonly valueText: Column;
  readonly quality: Column;
  readonly cause: Column;
  readonly stream: Column;
  readonly sequence: Column;
  readonly marks: Column;
  readonly offsetUs: Column;
  readonly term: Column;
}

function columnsOf(chunk: Chunk): Columns {
  const column = (name: SampleColumn): Column => {
    const index = SAMPLE_COLUMNS.findIndex(([each]) => each === name);
    return chunk.getColumnVector(index);
  };
  return {
    tag: column('tag'),
    sourceUs: column('source_us'),
    receivedUs: column('received_us'),
    deviceUs: column('device_us'),
    kind: column('kind'),
    valueInt: column('value_int'),
    valueFloat: column('value_float'),
    valueText: column('value_text'),
    quality: column('quality'),
    cause: column('cause'),
    stream: column('stream'),
    sequence: column('sequence'),
    marks: column('marks'),
    offsetUs: column('offset_us'),
    term: column('term'),
  };
}

function integerColumn(block: DecodedBlock, at: number, kind: number): bigint {
  if (kind === EntryKind.int64) return block.integers[at] as bigint;
  return kind === EntryKind.true ? 1n : 0n;
}
