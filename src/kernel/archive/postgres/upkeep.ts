import { describeError } from '../../../domain/errors.ts';
import type { Timer } from '../../../world/clock.ts';
import { Recurrence } from '../../../world/recurring-log.ts';
import type { Query } from './catalog.ts';
import { type Connection, connect } from './connection.ts';
import type { PostgresArchiveOptions } from './options.ts';

/** The database is made to look at its months after so many rows, */
const ROWS = 100_000;
/** and so long after them: it counts what came to a table with a delay. */
const PAUSE_MS = 10_000;
/** To look at a large month for the first time may take so long; nobody waits for it. */
const WORK_MAX_MS = 3_600_000;

/**
 * What keeps the tables quick and is not for the transactions that agents wait for: on a connection of its
 * own, which is there for that only. Nothing depends on it: what does not go now is tried again with the next
 * rows, or the next hour.
 */
export class Upkeep {
  readonly #options: Pick<PostgresArchiveOptions, 'config' | 'clock' | 'log'>;
  /** Since it was last made to look; what came before this archive was opened is not known. */
  #rows = ROWS;
  #timer: Timer | null = null;
  #isClosed = false;
  #connection: Connection | null = null;
  /** It works one after the other; this settles when the last is done. */
  #work: Promise<unknown> = Promise.resolve();
  #trouble: Recurrence | null = null;

  constructor(options: Pick<PostgresArchiveOptions, 'config' | 'clock' | 'log'>) {
    this.#options = options;
  }

  /** So many rows were committed, to tables that have the functions. */
  took(rows: number): void {
    this.#rows += rows;
    if (this.#rows < ROWS || this.#timer !== null || this.#isClosed) return;
    this.#timer = this.#options.clock.schedule('upkeep of the archive', PAUSE_MS, () => void this.#analyse());
  }

  /** Makes months before a time, of older tables, such that it is quickly told next whether they may go. */
  prepareDrop(moment: string): void {
    void this.#use(async (query) => {
      for (let isMade = true; isMade; ) {
        const [row = {}] = await query('SELECT index_samples_before($1) AS is_made', [moment]);
        isMade = row['is_made'] === 't';
      }
    });
  }

  /** What is under way is broken off. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#connection?.giveUp('the archive is closed');
    await this.#work;
  }

  async #analyse(): Promise<void> {
    this.#rows = 0;
    await this.#use(async (query) => {
      await query('SELECT analyse_samples()');
    });
    this.#timer = null;
    this.took(0);
  }

  /** Never fails: its trouble is in the log, at most each minute. */
  #use(work: (query: Query) => Promise<void>): Promise<void> {
    const done = this.#work.then(async () => {
      if (this.#isClosed) return;
      const { config, clock, log } = this.#options;
      try {
        const connection = await connect({ config, login: config.login, clock });
        this.#connection = connection;
        if (this.#isClosed) connection.giveUp('the archive is closed');
        await work((sql, values = []) => connection.query(sql, values, WORK_MAX_MS));
        this.#trouble = null;
      } catch (error) {
        if (this.#isClosed) return;
        const nowMs = clock.monotonicMs();
        this.#trouble ??= new Recurrence(nowMs);
        const met = this.#trouble.again(nowMs);
        if (met !== null) {
          log.warn(
            { error: describeError(error), times: met.times },
            'the database does not look at its months',
          );
        }
      } finally {
        await this.#connection?.close();
        this.#connection = null;
      }
    });
    this.#work = done;
    return done;
  }
}
