import type { PostgresArchiveConfig } from '../../../config/model/kernel.ts';
import { describeError, isKomError, KomError } from '../../../domain/errors.ts';
import type { Clock } from '../../../world/clock.ts';
import { NameTakenError, type RoleSession, type RoleView } from '../../../world/shared-archive.ts';
import { integerOf } from '../columns.ts';
import { textOf } from './columns.ts';
import { type Connection, connect, type Row, type Value } from './connection.ts';
import { checkOneRole, END_HOLDER, endWriter, HOLDER, showRole, TRY_LOCK, UNLOCK } from './role-locks.ts';

/**
 * A Kernel that hears nothing from the database for so long takes itself for hot no more. Less than what the
 * server waits, so that it is over here before it begins elsewhere.
 */
const ANSWER_MAX_MS = 3000;

/** A server that comes back is to find whoever was hot before others take over. */
const CONNECT_MAX_MS = 2000;

/**
 * What the server does with a session of which nothing is heard: a Kernel asks several times a second, so one
 * that asks nothing for `idle_session_timeout` is stopped, hangs, or is cut off, and its lock becomes free.
 * The others are for the server's own answers that find nobody.
 */
const SESSION = `SET idle_session_timeout = 5000; SET tcp_user_timeout = 5000; SET tcp_keepalives_idle = 2;
  SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3; SET lock_timeout = 2500;
  SET synchronous_commit = on;`;

const LIVE = `EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = k.pid AND a.backend_start = k.started)`;

/** Address of a live session; null: it is not live. */
const FROM = `(SELECT coalesce(host(a.client_addr), 'the machine of the database') FROM pg_stat_activity a
  WHERE a.pid = k.pid AND a.backend_start = k.started)`;

const LOOK = `SELECT kernel_epoch, hot, next_hot, ${HOLDER} AS holder, pg_backend_pid() AS self,
  (SELECT coalesce(json_agg(json_build_object('name', k.name, 'isPresent', ${LIVE}) ORDER BY k.name), '[]')
    FROM kernels k) AS kernels FROM archive_state`;

/** A Kernel's session, on a connection of its own. */
export class PostgresRoleSession implements RoleSession {
  readonly #name: string;
  readonly #connection: Connection;

  private constructor(name: string, connection: Connection) {
    this.#name = name;
    this.#connection = connection;
  }

  /** @throws NameTakenError, KomError KOM_ARCHIVE_UNAVAILABLE */
  static async open(
    name: string,
    options: { readonly config: PostgresArchiveConfig; readonly clock: Clock },
  ): Promise<PostgresRoleSession> {
    const { config } = options;
    const connectTimeoutMs = Math.min(config.connectTimeoutMs, CONNECT_MAX_MS);
    const connection = await connect({
      ...options,
      config: { ...config, connectTimeoutMs },
      login: config.login,
    });
    const session = new PostgresRoleSession(name, connection);
    await session.#within(() => session.#enter(config.schema));
    return session;
  }

  get isAlive(): boolean {
    return this.#connection.isUsable;
  }

  look(): Promise<RoleView> {
    return this.#within(async () => viewOf(await this.#query(LOOK)));
  }

  claim(above: number): Promise<number | null> {
    return this.#within(async () => {
      if ((await this.#query(TRY_LOCK))?.['locked'] !== 't') return null;
      // Else a transaction that a stopped Kernel left open would hold the row.
      await this.#endWriter();
      return await this.#transaction(async () => {
        const state = await this.#query(
          `UPDATE archive_state SET kernel_epoch = greatest(kernel_epoch, $1) + 1, hot = $2, next_hot = ''
           RETURNING kernel_epoch`,
          [above, this.#name],
        );
        return integerOf(state ?? {}, 'kernel_epoch');
      });
    });
  }

  hand(to: string): Promise<void> {
    return this.#within(async () => {
      await this.#mean(to);
      await this.#query(UNLOCK);
    });
  }

  depose(): Promise<void> {
    return this.#within(async () => {
      if (viewOf(await this.#query(LOOK)).holder === 'self') return;
      await this.#endWriter();
      // The other one comes back at once, and finds that it is not meant.
      await this.#mean(this.#name);
      await this.#query(END_HOLDER);
    });
  }

  async close(): Promise<void> {
    if (!this.isAlive) return;
    await this.#query('DELETE FROM kernels WHERE name = $1 AND pid = pg_backend_pid()', [this.#name]).catch(
      () => undefined,
    );
    await this.#connection.close();
  }

  /** Makes itself known. */
  async #enter(schema: string): Promise<void> {
    await this.#query(SESSION);
    // In this order: of two that come at once none overlooks the other.
    await this.#query(showRole(schema));
    await checkOneRole(this.#connection, { schema, answerMaxMs: ANSWER_MAX_MS });
    await this.#transaction(async () => {
      const twin = await this.#query(
        `SELECT ${FROM} AS came_from FROM kernels k WHERE name = $1 FOR UPDATE`,
        [this.#name],
      );
      if ((twin?.['came_from'] ?? null) !== null) {
        const view = viewOf(await this.#query(LOOK));
        throw new NameTakenError(this.#name, { from: textOf(twin ?? {}, 'came_from'), view });
      }
      await this.#query(
        `INSERT INTO kernels SELECT $1, pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()
         ON CONFLICT (name) DO UPDATE SET pid = excluded.pid, started = excluded.started`,
        [this.#name],
      );
    });
  }

  async #mean(next: string): Promise<void> {
    await this.#transaction(async () => {
      await this.#query('UPDATE archive_state SET next_hot = $1', [next]);
    });
  }

  async #endWriter(): Promise<void> {
    await endWriter(this.#connection, { epoch: null, answerMaxMs: ANSWER_MAX_MS });
  }

  async #transaction<T>(work: () => Promise<T>): Promise<T> {
    await this.#query('BEGIN');
    const result = await work();
    await this.#connection.commit(ANSWER_MAX_MS);
    return result;
  }

  async #query(sql: string, values: readonly Value[] = []): Promise<Row | undefined> {
    const [row] = await this.#connection.query(sql, values, ANSWER_MAX_MS);
    return row;
  }

  /** After an error nobody knows what the session holds: it is given up, and its lock with it. */
  async #within<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#connection.giveUp(describeError(error));
      if (isKomError(error)) throw error;
      throw new KomError('KOM_ARCHIVE_UNAVAILABLE', describeError(error), { cause: error });
    }
  }
}

function viewOf(row: Row | undefined): RoleView {
  const { holder, self, kernels } = row ?? {};
  return {
    epoch: integerOf(row ?? {}, 'kernel_epoch'),
    hot: textOf(row ?? {}, 'hot'),
    next: textOf(row ?? {}, 'next_hot'),
    holder: (holder ?? null) === null ? 'nobody' : holder === self ? 'self' : 'other',
    kernels: JSON.parse(kernels ?? '[]') as RoleView['kernels'],
  };
}
