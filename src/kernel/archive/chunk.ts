import { invariant } from '../../domain/errors.ts';
import { type Appender, CHUNK_ROWS, type Chunk, type ColumnType, type Database } from './duckdb.ts';

type Vector = ReturnType<Chunk['getColumnVector']>;
type NumberItems = Int32Array | Uint32Array | Uint16Array | Uint8Array | Float64Array;

/**
 * Fills chunks column by column straight in the memory that a vector hands over, without a BigInt or a call
 * for each value: setting items one by one costs three times as much. One chunk is used again and again,
 * because the appender copies it; constant columns and the nulls of a text column stay in it.
 */
export class ChunkWriter {
  readonly #database: Database;
  readonly #types: readonly ColumnType[];
  readonly #appender: Appender;
  #columns: Columns;
  #row = 0;

  private constructor(database: Database, types: readonly ColumnType[], appender: Appender) {
    this.#database = database;
    this.#types = types;
    this.#appender = appender;
    this.#columns = columnsOf(database, types);
  }

  static async open(database: Database, table: string, types: readonly ColumnType[]): Promise<ChunkWriter> {
    return new ChunkWriter(database, types, await database.appender(table));
  }

  /** A number of up to 32 bits, or a float64. Every column of the row but the texts must be set. */
  setNumber(column: number, value: number): void {
    const items = this.#columns.numbers[column];
    if (items !== undefined) items[this.#row] = value;
  }

  /** A BIGINT from a number below 2^53 either way. */
  setInteger(column: number, value: number): void {
    const halves = this.#columns.integers[column];
    if (halves === undefined) return;
    const high = Math.floor(value / 0x1_0000_0000);
    halves[2 * this.#row] = value - high * 0x1_0000_0000;
    halves[2 * this.#row + 1] = high;
  }

  /** A text where the row has one; the rows where it is not called have none. */
  setText(column: number, value: string): void {
    this.#columns.vectors[column]?.setItem(this.#row, value);
    this.#columns.hasText = true;
  }

  nextRow(): void {
    this.#row += 1;
    if (this.#row === CHUNK_ROWS) this.#append();
  }

  /** Lets the appender work off what it has, and the event loop turn. */
  async pause(): Promise<void> {
    this.#appender.flushSync();
    await this.#database.breathe();
  }

  /** Hands what there is to the database. */
  finish(): void {
    if (this.#row > 0) this.#append();
    this.#appender.closeSync();
  }

  /** What was handed over goes with the transaction. */
  abandon(): void {
    this.#appender.clear();
  }

  #append(): void {
    const { chunk, vectors, hasText, texts } = this.#columns;
    for (const [index, vector] of vectors.entries()) {
      if (hasText || !texts.has(index)) vector.flush();
    }
    chunk.rowCount = this.#row;
    this.#appender.appendDataChunk(chunk);
    this.#row = 0;
    // The texts of a vector are freed with it.
    if (hasText) this.#columns = columnsOf(this.#database, this.#types);
    else chunk.rowCount = CHUNK_ROWS;
  }
}

interface Columns {
  readonly chunk: Chunk;
  readonly vectors: readonly Vector[];
  /** By column, where its items are numbers. */
  readonly numbers: readonly (NumberItems | undefined)[];
  /** By column, where its items are BIGINT: low and high half of each. */
  readonly integers: readonly (Uint32Array | undefined)[];
  readonly texts: ReadonlySet<number>;
  hasText: boolean;
}

function columnsOf(database: Database, types: readonly ColumnType[]): Columns {
  const chunk = database.chunk(types, CHUNK_ROWS);
  const vectors = types.map((_, index) => chunk.getColumnVector(index));
  const items = vectors.map((vector) => ('items' in vector ? vector.items : undefined));
  const texts = new Set(types.keys().filter((index) => types[index] === 'VARCHAR'));
  for (const index of texts) {
    const vector = vectors[index];
    for (let row = 0; row < CHUNK_ROWS; row++) vector?.setItem(row, null);
    vector?.flush();
  }
  const numbers = items.map((each) => (isNumberItems(each) ? each : undefined));
  const integers = items.map((each) =>
    each instanceof BigInt64Array
      ? new Uint32Array(each.buffer, each.byteOffset, 2 * each.length)
      : undefined,
  );
  for (const index of types.keys()) {
    const isFound = texts.has(index) || numbers[index] !== undefined || integers[index] !== undefined;
    invariant(isFound, 'every vector of numbers shows its items');
  }
  return { chunk, vectors, numbers, integers, texts, hasText: false };
}

function isNumberItems(items: unknown): items is NumberItems {
  return [Int32Array, Uint32Array, Uint16Array, Uint8Array, Float64Array].some(
    (type) => items instanceof type,
  );
}
