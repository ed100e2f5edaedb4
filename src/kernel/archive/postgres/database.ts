import type { Connection, Row, Value } from './connection.ts';

/** A column of rows that are inserted, with its type; `sql` makes the value of the parameter `$n`. */
export type Column = readonly [name: string, type: string, sql?: (parameter: string) => string];

/**
 * The session that writes. Each transaction locks the one row of `archive_state` and looks whether it is
 * still the last one that opened the archive for writing: what it has in memory is then what is there. Who
 * opens waits for that row, so a transaction whose outcome was unknown is over before anything is read.
 */
export class WritingSession {
  readonly connection: Connection;
  readonly #generation: string;
  /** How long an answer may take. */
  readonly #answerMaxMs: number;

  constructor(
    connection: Connection,
    options: { readonly generation: string; readonly answerMaxMs: number },
  ) {
    this.connection = connection;
    this.#generation = options.generation;
    this.#answerMaxMs = options.answerMaxMs;
  }

  /** Everything that `work` writes, or nothing. Not to be entered twice at once. */
  async transaction(work: () => Promise<void>): Promise<void> {
    try {
      const [state] = await this.query('BEGIN; SELECT generation FROM archive_state FOR NO KEY UPDATE');
      if (state?.['generation'] !== this.#generation) {
        this.connection.giveUp('another Kernel has opened the archive for writing');
      }
      await work();
    } catch (error) {
      if (this.connection.isUsable) await this.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
    try {
      await this.connection.commit(this.#answerMaxMs);
    } catch (error) {
      // Nobody knows whether it happened: whoever opens next finds out.
      this.connection.giveUp('COMMIT was not answered');
      throw error;
    }
  }

  query(sql: string, values: readonly Value[] = []): Promise<readonly Row[]> {
    return this.connection.query(sql, values, this.#answerMaxMs);
  }

  copyIn(sql: string, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    return this.connection.copyIn(sql, chunks, this.#answerMaxMs);
  }

  /** Adds rows in one statement; `conflict` says what happens to those that are there. */
  async insert(
    table: string,
    columns: readonly Column[],
    rows: readonly (readonly (string | number | null)[])[],
    conflict = '',
  ): Promise<void> {
    if (rows.length === 0) return;
    const names = columns.map(([name]) => name).join(', ');
    const selected = columns.map(([name, , sql]) => (sql === undefined ? name : sql(name))).join(', ');
    const parameters = columns.map(([, type], index) => `$${index + 1}::${type}[]`).join(', ');
    await this.query(
      `INSERT INTO ${table} (${names}) SELECT ${selected} FROM unnest(${parameters}) AS given (${names})
       ${conflict}`,
      columns.map((_, index) => rows.map((row) => row[index] ?? null)),
    );
  }
}
