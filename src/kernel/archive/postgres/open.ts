import { KomError } from '../../../domain/errors.ts';
import type { Log } from '../../../world/log.ts';
import { integerOf } from '../columns.ts';
import { TagIds } from '../tag-ids.ts';
import { loadCatalog, type PostgresCatalog, type Query } from './catalog.ts';
import { textOf } from './columns.ts';
import { type Connection, type ConnectOptions, connect, formatHost } from './connection.ts';
import { openingOf, overtaken, WritingSession } from './database.ts';
import { type DurabilitySettings, durabilityFindings } from './durability.ts';
import { prepareTables, versionOf } from './migrate.ts';
import { checkOneRole, endWriter, HOLDER } from './role-locks.ts';
import { checkSampleTable } from './sample-table.ts';
import { USABLE_VERSION_MIN } from './schema.ts';
import { inSnapshot } from './snapshot.ts';

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
  /** Several Kernels share the archive, and this one is hot in this epoch; `null`: it is the only one. */
  readonly epoch: number | null;
}

/**
 * Opens the archive for writing: from here on no other session's transaction goes through, and one that is
 * under way is over, so that what is read is what is there.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE; DatabaseError
 */
export async function openForWriting(opening: Opening): Promise<Parts> {
  const connection = await connect(opening);
  try {
    if (!opening.isPrepared) await prepare(connection, opening);
    const { config, answerMaxMs } = opening;
    await checkSampleTable(connection, { schema: config.schema, answerMaxMs });
    await makeDurable(connection, opening);
    return await takeOver(connection, opening);
  } catch (error) {
    connection.giveUp('it was not opened');
    throw error;
  }
}

/**
 * For Kernels that share a schema: makes the tables, once in a run, and says what a commit is worth at this
 * server.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE, also where a Kernel there works as another role; DatabaseError
 */
export async function prepareForWriting(options: ConnectOptions & { readonly log: Log }): Promise<void> {
  const { config } = options;
  const { answerTimeoutMs: answerMaxMs, schema } = config;
  const connection = await connect(options);
  try {
    await checkOneRole(connection, { schema, answerMaxMs });
    await prepare(connection, options);
    await makeDurable(connection, { ...options, isPrepared: false, answerMaxMs, epoch: null });
  } finally {
    await connection.close();
  }
}

/**
 * Makes the tables as their owner, else as who writes. That one is connected already: what is wrong with its
 * name or password is said before the owner gives it any right.
 */
async function prepare(
  connection: Connection,
  options: ConnectOptions & { readonly log: Log },
): Promise<void> {
  const { config, log, login } = options;
  const { owner, schema } = config;
  const maker = owner === null ? connection : await connect({ ...options, login: owner });
  try {
    await prepareTables(maker, { schema, writer: login.user, log });
  } finally {
    if (maker !== connection) await maker.close();
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
async function takeOver(connection: Connection, { log, answerMaxMs, epoch }: Opening): Promise<Parts> {
  const query = (sql: string, values: readonly (string | number)[] = []) =>
    connection.query(sql, values, answerMaxMs);
  await checkMayWrite(connection, { epoch, answerMaxMs });
  const address = await endWriter(connection, { epoch, answerMaxMs });
  if (address !== null) {
    log.warn({ address }, 'a session that had the archive open for writing is ended: only one may write');
  }
  await query('BEGIN');
  const [state] = await query(
    `UPDATE archive_state SET generation = generation + 1, writer_pid = pg_backend_pid(),
       writer_started = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
     WHERE ${epoch === null ? 'true' : `kernel_epoch <= ${epoch}`} RETURNING generation, tableoid`,
  );
  if (state === undefined) throw overtaken(epoch);
  const catalog = await loadCatalog((sql) => connection.query(sql, [], answerMaxMs));
  // Only behind this COMMIT is what was read as durable as the archive's own transactions are.
  await connection.commit(answerMaxMs);
  const session = new WritingSession(connection, { opening: openingOf(state), answerMaxMs, epoch });
  return { session, catalog, tagIds: new TagIds() };
}

/** A Kernel that is overtaken ends nobody's session, and one that is alone does not write among others. */
async function checkMayWrite(
  connection: Connection,
  { epoch, answerMaxMs }: Pick<Opening, 'epoch' | 'answerMaxMs'>,
): Promise<void> {
  const [state = {}] = await connection.query(
    `SELECT kernel_epoch, hot, ${HOLDER} AS holder FROM archive_state`,
    [],
    answerMaxMs,
  );
  if (epoch !== null && integerOf(state, 'kernel_epoch') > epoch) throw overtaken(epoch);
  if (epoch !== null || state['holder'] === null) return;
  throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'several Kernels share the archive', {
    got: `${textOf(state, 'hot')} is hot`,
    hint: 'redundancy of the Kernel file must say "archive": "shared"',
  });
}

/**
 * Reads what questions are answered from, beside whoever writes.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE if there are no tables, or those of another version; DatabaseError
 */
export async function openForReading(
  connection: Connection,
  { schema, answerMaxMs }: { readonly schema: string; readonly answerMaxMs: number },
): Promise<PostgresCatalog> {
  const version = await versionOf(connection, schema);
  if (version === null || version < USABLE_VERSION_MIN) {
    const what = version === null ? 'there are no tables' : `the tables are of version ${version}`;
    throw new KomError('KOM_ARCHIVE_UNAVAILABLE', `${what} in schema ${schema} yet`, {
      hint: 'a Kernel makes them when it starts',
    });
  }
  const query: Query = (sql, values = []) => connection.query(sql, values, answerMaxMs);
  return await inSnapshot(query, () => loadCatalog(query));
}
