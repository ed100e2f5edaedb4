import { KomError } from '../../../domain/errors.ts';
import type { Log } from '../../../world/log.ts';
import { TagIds } from '../tag-ids.ts';
import { loadCatalog, type PostgresCatalog } from './catalog.ts';
import { textOf } from './columns.ts';
import { type Connection, type ConnectOptions, connect, formatHost } from './connection.ts';
import { WritingSession } from './database.ts';
import { type DurabilitySettings, durabilityFindings } from './durability.ts';
import { prepareTables, versionOf } from './migrate.ts';

/** The session that writes, and what is in memory of the database. */
export interface Parts {
  readonly session: WritingSession;
  readonly catalog: PostgresCatalog;
  readonly tagIds: TagIds;
}

export interface Opening extends ConnectOptions {
  readonly log: Log;
  /** Tables are made only once in a run: a role that may do so is needed for a moment. */
  readonly isPrepared: boolean;
  readonly answerMaxMs: number;
}

/**
 * Opens the archive for writing: from here on no other session's transaction goes through, and one that is
 * under way is over, so that what is read is what is there.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE; DatabaseError
 */
export async function openForWriting(opening: Opening): Promise<Parts> {
  const { config, log, answerMaxMs } = opening;
  if (!opening.isPrepared && config.owner !== null) {
    const owner = await connect({ ...opening, login: config.owner });
    try {
      await prepareTables(owner, { schema: config.schema, writer: opening.login.user, log });
    } finally {
      await owner.close();
    }
  }
  const connection = await connect(opening);
  try {
    if (!opening.isPrepared && config.owner === null) {
      await prepareTables(connection, { schema: config.schema, writer: opening.login.user, log });
    }
    await makeDurable(connection, opening);
    return await takeOver(connection, { log, answerMaxMs });
  } catch (error) {
    connection.giveUp('it was not opened');
    throw error;
  }
}

/** What is committed here is on the disk of the server at least, whatever its default is. */
async function makeDurable(
  connection: Connection,
  { config, log, isPrepared, answerMaxMs }: Opening,
): Promise<void> {
  const [row = {}] = await connection.query(
    `SELECT current_setting('synchronous_commit') AS commit, current_setting('fsync') AS fsync,
       current_setting('synchronous_standby_names') AS standbys`,
    [],
    answerMaxMs,
  );
  const settings: DurabilitySettings = {
    synchronousCommit: textOf(row, 'commit'),
    standbyNames: textOf(row, 'standbys'),
    isSynced: row['fsync'] === 'on',
  };
  const { synchronousCommit: level, standbyNames } = settings;
  const isTooWeak = level === 'off' || (level === 'local' && standbyNames !== '');
  if (isTooWeak) await connection.query('SET synchronous_commit = on', [], answerMaxMs);
  if (isPrepared) return;
  log.info({ host: formatHost(connection.host), schema: config.schema, ...settings }, 'the database is open');
  for (const finding of durabilityFindings(settings, config.hosts.length)) log.warn({}, finding);
}

/** Ends the session that wrote before, if it lives still, and waits until its transaction is over. */
async function takeOver(
  connection: Connection,
  { log, answerMaxMs }: Pick<Opening, 'log' | 'answerMaxMs'>,
): Promise<Parts> {
  const query = (sql: string, values: readonly (string | number)[] = []) =>
    connection.query(sql, values, answerMaxMs);
  const ended = await query(
    `SELECT a.client_addr, pg_terminate_backend(a.pid) FROM archive_state s JOIN pg_stat_activity a
       ON a.pid = s.writer_pid AND a.backend_start = s.writer_started AND a.usename = current_user
     WHERE a.pid <> pg_backend_pid()`,
  );
  if (ended.length > 0) {
    const [{ client_addr: address }] = ended as [{ client_addr: string | null }];
    log.warn({ address }, 'a session that had the archive open for writing is ended: only one may write');
  }
  await query('BEGIN');
  const [state = {}] = await query(
    `UPDATE archive_state SET generation = generation + 1, writer_pid = pg_backend_pid(),
       writer_started = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
     RETURNING generation`,
  );
  const catalog = await loadCatalog((sql) => connection.query(sql, [], answerMaxMs));
  // Only behind this COMMIT is what was read as durable as the archive's own transactions are.
  await connection.commit(answerMaxMs);
  const session = new WritingSession(connection, { generation: textOf(state, 'generation'), answerMaxMs });
  return { session, catalog, tagIds: new TagIds() };
}

/**
 * Reads what questions are answered from, beside whoever writes.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE if there are no tables, or those of another version; DatabaseError
 */
export async function openForReading(
  connection: Connection,
  { schema, answerMaxMs }: { readonly schema: string; readonly answerMaxMs: number },
): Promise<PostgresCatalog> {
  if ((await versionOf(connection, schema)) === null) {
    throw new KomError('KOM_ARCHIVE_UNAVAILABLE', `there are no tables in schema ${schema} yet`, {
      hint: 'a Kernel makes them when it starts',
    });
  }
  await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  const catalog = await loadCatalog((sql) => connection.query(sql, [], answerMaxMs));
  await connection.query('COMMIT');
  return catalog;
}
