import { KomError } from '../../../domain/errors.ts';
import { integerOf } from '../columns.ts';
import { textOf } from './columns.ts';
import type { Connection, Row, Value } from './connection.ts';

/** A column of rows that are inserted, with its type; `sql` makes the value of the parameter `$n`. */
export type Column = readonly [name: string, type: string, sql?: (parameter: string) => string];

/** Which opening for writing a row of `archive_state` tells of: its `generation`, of the table `tableoid`. */
export function openingOf(row: Row): string {
  return `${textOf(row, 'generation')} of ${textOf(row, 'tableoid')}`;
}

/**
 * The session that writes. Each transaction locks the one row of `archive_state` and looks whether it is
 * still the last one that opened the archive for writing: what it has in memory is then what is there. Who
 * opens waits for that row, so a transaction whose outcome was unknown is over before anything is read.
 * The table itself counts as well: tables that come from a backup say the same of who opened them last.
 * Among several Kernels no transaction of one goes through once a higher epoch than its own is stored.
 */
export class WritingSession {
  readonly connection: Connection;
  readonly #opening: string;
  readonly #epoch: number | null;
  /** How long an answer may take. */
  readonly #answerMaxMs: number;

  constructor(
    connection: Connection,
    options: {
      /** Its own, by `openingOf`. */
      readonly opening: string;
      readonly answerMaxMs: number;
      /** Among several Kernels: the epoch in which this one is hot. */
      readonly epoch: number | null;
    },
  ) {
    this.connection = connection;
    this.#opening = options.opening;
    this.#epoch = options.epoch;
    this.#answerMaxMs = options.answerMaxMs;
  }

  /** Everything that `work` writes, or nothing. Not to be entered twice at once. */
  async transaction(work: () => Promise<void>): Promise<void> {
    try {
      const [state = {}] = await this.query(
        'BEGIN; SELECT generation, tableoid, kernel_epoch FROM archive_state FOR NO KEY UPDATE',
      );
      if (this.#epoch !== null && integerOf(state, 'kernel_epoch') > this.#epoch)
        throw overtaken(this.#epoch);
      if (openingOf(state) !== this.#opening) {
        this.connection.giveUp('the archive was opened by another Kernel, or restored from a backup');
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

/** What a Kernel hears that was hot in an epoch, and is not any more. */
export function overtaken(epoch: number | null): KomError {
  return new KomError('KOM_KERNEL_STANDBY', 'a higher epoch is stored', { got: `epoch ${epoch}` });
}
