/** The one importer of DuckDB: an optional dependency, loaded only when an archive is opened. */
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type {
  DuckDBAppender,
  DuckDBConnection,
  DuckDBDataChunk,
  DuckDBInstance,
  DuckDBValue,
} from '@duckdb/node-api';
import { describeError, KomError } from '../../domain/errors.ts';

/** Name of the database within the archive's directory. */
export const DATABASE_FILE = 'archive.duckdb';

/** Two cores are what a small server has; more threads cost memory and gain nothing at our sizes. */
const THREADS = 2;

/**
 * The log is written into the database at this size: each time, the last rows of the month are compressed
 * anew, which at the default of 16 MB costs more than writing the rows. A start replays at most this much,
 * in a second or two.
 */
const LOG_BYTES_MAX = '64MB';

/**
 * Questions that are worked on at once; more wait. A connection answers one after the other, and each
 * question takes one of the threads of libuv, of which the writer needs one.
 */
const READERS_MAX = 4;

/** Rows of a data chunk; fixed by DuckDB. */
export const CHUNK_ROWS = 2048;

export type Value = DuckDBValue;
export type Cell = number | bigint | string | boolean | Uint8Array | null;
export type Row = Readonly<Record<string, Value>>;
export type Appender = DuckDBAppender;
export type Chunk = DuckDBDataChunk;

/** Types of columns that the archive's chunks have. */
export type ColumnType = 'INTEGER' | 'BIGINT' | 'DOUBLE' | 'VARCHAR' | 'UINTEGER' | 'USMALLINT';

export interface DatabaseOptions {
  /** Made if it is not there. */
  readonly directory: string;
  readonly memoryLimitBytes: number;
}

/** An open database: one connection that writes, and some that read beside it. */
export class Database {
  readonly #module: DuckdbModule;
  readonly #path: string;
  readonly #writer: DuckDBConnection;
  readonly #instance: DuckDBInstance;
  readonly #idleReaders: DuckDBConnection[] = [];
  #readers = 0;
  /** Questions that wait for a reader, in the order in which they came. */
  readonly #waiting: ((reader: DuckDBConnection) => void)[] = [];

  constructor(parts: DatabaseParts) {
    this.#module = parts.module;
    this.#path = parts.path;
    this.#writer = parts.writer;
    this.#instance = parts.instance;
  }

  /** Rows of a query, seeing what was committed. */
  async read(sql: string, values: Value[] = []): Promise<Row[]> {
    return await this.#withReader(async (reader) =>
      (await reader.runAndReadAll(sql, values)).getRowObjects(),
    );
  }

  /** Several queries of one moment. */
  async readTogether<T>(work: (read: (sql: string) => Promise<Row[]>) => Promise<T>): Promise<T> {
    return await this.#withReader(async (reader) => {
      await reader.run('BEGIN TRANSACTION');
      try {
        return await work(async (sql) => (await reader.runAndReadAll(sql)).getRowObjects());
      } finally {
        await reader.run('ROLLBACK');
      }
    });
  }

  /** Rows of a query, seeing also what the open transaction has written; waits for no other question. */
  async readWritten(sql: string, values: Value[] = []): Promise<Row[]> {
    const reader = await this.#writer.runAndReadAll(sql, values);
    return reader.getRowObjects();
  }

  /** Lets the event loop turn: an appender works on it. */
  async breathe(): Promise<void> {
    await this.#writer.run('SELECT 1');
  }

  /** Runs a statement on the writing connection, inside its transaction if one is open. */
  async write(sql: string, values?: Value[]): Promise<void> {
    await this.#writer.run(sql, values);
  }

  /** Everything that `work` writes, or nothing. Not to be entered twice at once. */
  async transaction(work: () => Promise<void>): Promise<void> {
    await this.#writer.run('BEGIN TRANSACTION');
    try {
      await work();
      await this.#writer.run('COMMIT');
    } catch (error) {
      // A failed COMMIT has already rolled back, and then there is nothing to roll back.
      await this.#writer.run('ROLLBACK').catch(() => undefined);
      throw error;
    }
  }

  /** Adds rows to a small table: number is INTEGER, bigint BIGINT, bytes BLOB. */
  async insert(table: string, rows: readonly (readonly Cell[])[]): Promise<void> {
    if (rows.length === 0) return;
    const appender = await this.#writer.createAppender(table);
    for (const row of rows) {
      for (const cell of row) appendCell(appender, cell);
      appender.endRow();
    }
    appender.closeSync();
  }

  /** Appends to a table inside the writer's transaction. */
  appender(table: string): Promise<Appender> {
    return this.#writer.createAppender(table);
  }

  /** An empty chunk of `rows` rows. Every item of it must be set before it is appended. */
  chunk(types: readonly ColumnType[], rows: number): Chunk {
    return this.#module.DuckDBDataChunk.create(
      types.map((type) => this.#module[type]),
      rows,
    );
  }

  /** Bytes of the database and its write-ahead log on the disk. */
  sizeBytes(): number {
    const size = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    return size(this.#path) + size(`${this.#path}.wal`);
  }

  /** Writes the log into the database and releases the file. */
  close(): void {
    for (const reader of this.#idleReaders) reader.closeSync();
    this.#writer.closeSync();
    this.#instance.closeSync();
  }

  async #withReader<T>(work: (reader: DuckDBConnection) => Promise<T>): Promise<T> {
    const reader = await this.#takeReader();
    try {
      return await work(reader);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#idleReaders.push(reader);
      else next(reader);
    }
  }

  async #takeReader(): Promise<DuckDBConnection> {
    const idle = this.#idleReaders.pop();
    if (idle !== undefined) return idle;
    if (this.#readers === READERS_MAX) return await new Promise((resolve) => this.#waiting.push(resolve));
    this.#readers += 1;
    try {
      return await this.#instance.connect();
    } catch (error) {
      this.#readers -= 1;
      throw error;
    }
  }
}

type DuckdbModule = typeof import('@duckdb/node-api');

interface DatabaseParts {
  readonly module: DuckdbModule;
  readonly path: string;
  readonly writer: DuckDBConnection;
  readonly instance: DuckDBInstance;
}

/**
 * Opens the database of a directory, replaying its log if the last process that had it was killed.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE; KOM_STORE_LOCKED if another process has it
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const module = await loadDuckdb();
  const path = join(options.directory, DATABASE_FILE);
  try {
    mkdirSync(options.directory, { recursive: true });
    const instance = await module.DuckDBInstance.create(path, {
      threads: String(THREADS),
      wal_autocheckpoint: LOG_BYTES_MAX,
      memory_limit: `${Math.max(1, Math.floor(options.memoryLimitBytes / 1000))}KB`,
      // A Kernel has no internet, and a database must not load code.
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    });
    const writer = await instance.connect();
    return new Database({ module, path, writer, instance });
  } catch (error) {
    const what = describeError(error);
    if (/could not set lock|conflicting lock/i.test(what)) {
      throw new KomError('KOM_STORE_LOCKED', path, {
        hint: 'ask the running Kernel through its control socket',
        cause: error,
      });
    }
    throw new KomError('KOM_ARCHIVE_UNAVAILABLE', `${path} does not open: ${what}`, { cause: error });
  }
}

/** Makes a Parquet file of a CSV file with a heading. @throws KomError KOM_USAGE */
export async function parquetFromCsv(files: {
  readonly csv: string;
  readonly parquet: string;
  readonly columns: readonly (readonly [name: string, type: string])[];
}): Promise<void> {
  const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;
  const columns = files.columns.map(([name, type]) => `${text(name)}: ${text(type)}`).join(', ');
  try {
    const module = await loadDuckdb();
    const instance = await module.DuckDBInstance.create(':memory:', { threads: String(THREADS) });
    const connection = await instance.connect();
    try {
      await connection.run(
        `COPY (SELECT * FROM read_csv(${text(files.csv)}, header = true, auto_detect = false,
           delim = ',', quote = '"', escape = '"', nullstr = '', allow_quoted_nulls = false,
           columns = {${columns}}))
         TO ${text(files.parquet)} (FORMAT parquet, COMPRESSION zstd)`,
      );
    } finally {
      connection.closeSync();
      instance.closeSync();
    }
  } catch (error) {
    throw new KomError('KOM_USAGE', `${files.parquet} cannot be written: ${describeError(error)}`, {
      cause: error,
    });
  }
}

function appendCell(appender: DuckDBAppender, cell: Cell): void {
  if (cell === null) appender.appendNull();
  else if (typeof cell === 'number') appender.appendInteger(cell);
  else if (typeof cell === 'bigint') appender.appendBigInt(cell);
  else if (typeof cell === 'boolean') appender.appendBoolean(cell);
  else if (typeof cell === 'string') appender.appendVarchar(cell);
  else appender.appendBlob(cell);
}

async function loadDuckdb(): Promise<DuckdbModule> {
  try {
    return await import('@duckdb/node-api');
  } catch (error) {
    throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'the package @duckdb/node-api is not installed', {
      hint: 'install it (npm install @duckdb/node-api); there is none for 32-bit ARM, where no Kernel runs',
      cause: error,
    });
  }
}

/** A text column. */
export function textOf(row: Row, column: string): string {
  return String(row[column]);
}
