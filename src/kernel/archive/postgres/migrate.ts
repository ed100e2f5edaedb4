import { KomError } from '../../../domain/errors.ts';
import type { Log } from '../../../world/log.ts';
import { integerOf } from '../columns.ts';
import { type Connection, DatabaseError, identifier, literal, NO_RIGHT } from './connection.ts';
import { createFunctions, grantTo } from './functions.ts';
import { checkSampleTable } from './sample-table.ts';
import {
  createSamples,
  createTables,
  createViews,
  SAMPLES,
  SCHEMA_VERSION,
  USABLE_VERSION_MIN,
  VERSION_2,
  VERSION_4,
  VIEWS,
} from './schema.ts';
import { mendViews } from './views.ts';

export interface Preparing {
  readonly schema: string;
  /** Who the Kernel then works as; gets the rights that it needs if it is not who prepares. */
  readonly writer: string;
  readonly log: Log;
}

/** Only one Kernel prepares at a time; a number that nobody else of the database uses. */
const PREPARE_LOCK = 0x4b_4f_4d_01;

/** Preparing waits for questions that are under way, and for another Kernel that prepares. */
const PREPARE_MAX_MS = 120_000;

/**
 * Makes the schema and its tables if they are not there, brings older ones up, and gives the writer its
 * rights. Nothing is changed where they are of this version. Who may not bring them up works with them as
 * they are, where they are of use, and says so.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE if the tables are of a newer version, or too old; DatabaseError
 */
export async function prepareTables(
  connection: Connection,
  { schema, writer, log }: Preparing,
): Promise<void> {
  const run = (sql: string) => connection.query(sql, [], PREPARE_MAX_MS);
  const [who] = await run('SELECT current_user AS name');
  const user = who?.['name'] ?? '';
  const isWriter = user === writer;
  const rights = await rightsIn(connection, schema);
  if (!rights.isThere && !rights.mayMake) throw noSchema(schema, user);
  if (rights.isThere && !rights.mayUse) throw noRight(schema, { user, right: 'USAGE' });
  if (isWriter && (await staysAsItIs(connection, { schema, user, log }))) {
    await checkSampleTable(connection, { schema, answerMaxMs: PREPARE_MAX_MS });
    await run('BEGIN');
    await mendViews(connection, { schema, log, areOld: false, answerMaxMs: PREPARE_MAX_MS });
    await run('COMMIT');
    return;
  }
  await run(`BEGIN; SELECT pg_advisory_xact_lock(${PREPARE_LOCK})`);
  const version = await versionOf(connection, schema);
  if (version === null) {
    if (rights.isThere && !rights.mayCreate) throw noRight(schema, { user, right: 'CREATE' });
    const timescale = await schemaOfTimescale(connection);
    const isHypertable = timescale !== null;
    if (!rights.isThere) await run(`CREATE SCHEMA ${identifier(schema)}`);
    await run(`${createTables()}${createSamples(timescale)}
      ${createFunctions(schema, timescale)}${createViews()}
      INSERT INTO archive_format VALUES (${SCHEMA_VERSION}, ${isHypertable});`);
    log.info({ schema, version: SCHEMA_VERSION, isHypertable }, 'the tables of the archive are made');
  } else {
    await checkSampleTable(connection, { schema, answerMaxMs: PREPARE_MAX_MS });
    if (version < SCHEMA_VERSION) {
      await bringUp(connection, { schema, version });
      log.info({ schema, version: SCHEMA_VERSION }, 'the tables of the archive are brought up');
    }
    const areOld = version < SCHEMA_VERSION;
    await mendViews(connection, { schema, log, areOld, answerMaxMs: PREPARE_MAX_MS });
  }
  const givesRights = !isWriter && (await checkWriter(connection, { schema, writer }));
  if (!isWriter) await run(grantTo(schema, writer));
  await run('COMMIT');
  if (givesRights) log.warn({ schema, role: writer }, 'this role may write to the archive from now on');
}

async function bringUp(
  connection: Connection,
  { schema, version }: { readonly schema: string; readonly version: number },
): Promise<void> {
  const run = (sql: string) => connection.query(sql, [], PREPARE_MAX_MS);
  const [format] = await run('SELECT is_hypertable FROM archive_format');
  const isHypertable = format?.['is_hypertable'] === 't';
  const timescale = isHypertable ? await schemaOfTimescale(connection) : null;
  // The functions are those of version 4.
  await run(`${version < 2 ? VERSION_2 : ''} ${isHypertable ? '' : VERSION_4}
    ${createFunctions(schema, timescale)} UPDATE archive_format SET version = ${SCHEMA_VERSION};`);
}

/**
 * Whether who writes has nothing to prepare: the tables are of this version, or another one owns them.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE if that one must bring them up before they are of use
 */
async function staysAsItIs(
  connection: Connection,
  { schema, user, log }: { readonly schema: string; readonly user: string; readonly log: Log },
): Promise<boolean> {
  const version = await versionOf(connection, schema);
  if (version === SCHEMA_VERSION) return true;
  if (version === null) return false;
  const [owner] = await connection.query(
    `SELECT pg_get_userbyid(relowner) AS name, pg_has_role(relowner, 'USAGE') AS is_own
     FROM pg_class WHERE oid = 'archive_format'::regclass`,
    [],
    PREPARE_MAX_MS,
  );
  if (owner?.['is_own'] === 't') return false;
  const hint = `name ${owner?.['name']}, who owns them, as owner in the Kernel file for one start`;
  const what = `${user} may not bring up the tables of schema ${schema} from version ${version}`;
  if (version < USABLE_VERSION_MIN) throw refused(what, hint);
  log.warn({ schema, version, expected: SCHEMA_VERSION, hint }, `${what}: ${LACKING}`);
  return true;
}

/** What tables of the oldest version that is of use lack. */
const LACKING =
  'until then retention goes by the times of values alone, ' +
  'and months that were filled at once are read slowly';

/**
 * Whether a role is new as one that writes.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE for one that was given rights to read and none to write: its name
 * came into the file by mistake
 */
async function checkWriter(
  connection: Connection,
  { schema, writer }: Pick<Preparing, 'schema' | 'writer'>,
): Promise<boolean> {
  const [role] = await connection.query(
    `SELECT has_table_privilege(w.oid, '${SAMPLES}', 'INSERT') AS may_write, EXISTS (
       SELECT FROM pg_class c, aclexplode(c.relacl) a
       WHERE c.oid IN (${VIEWS.map((view) => `'${view}'::regclass`).join(', ')})
         AND a.grantee NOT IN (0, c.relowner) AND pg_has_role(w.oid, a.grantee, 'MEMBER')) AS reads
     FROM pg_roles w WHERE w.rolname = $1`,
    [writer],
    PREPARE_MAX_MS,
  );
  if (role?.['may_write'] === 't') return false;
  if (role?.['reads'] !== 't') return true;
  const sql = `GRANT INSERT ON ${identifier(schema)}.${SAMPLES} TO ${identifier(writer)}`;
  const what = `${writer} is a role that reads the archive of schema ${schema} and does not write to it`;
  const todo = `name the role that writes as archive.postgres.user; if it is to be this one, run ${sql}`;
  throw refused(what, todo);
}

/**
 * Version of the tables, this one or an older one; `null`: there are none.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE if it is newer
 */
export async function versionOf(connection: Connection, schema: string): Promise<number | null> {
  const [there] = await connection.query(
    `SELECT to_regclass(${literal(`${identifier(schema)}.archive_format`)}) IS NOT NULL AS there`,
    [],
    PREPARE_MAX_MS,
  );
  if (there?.['there'] !== 't') return null;
  const [format] = await connection.query('SELECT version FROM archive_format', [], PREPARE_MAX_MS);
  const version = format === undefined ? 0 : integerOf(format, 'version');
  if (version >= 1 && version <= SCHEMA_VERSION) return version;
  throw new KomError('KOM_ARCHIVE_UNAVAILABLE', `the tables in schema ${schema} are of another version`, {
    expected: String(SCHEMA_VERSION),
    got: String(version),
    hint: 'a newer program has written them',
  });
}

interface Rights {
  readonly isThere: boolean;
  readonly mayUse: boolean;
  readonly mayCreate: boolean;
  /** A schema that is not there. */
  readonly mayMake: boolean;
}

/** What who is connected may do in a schema. */
async function rightsIn(connection: Connection, schema: string): Promise<Rights> {
  const [row] = await connection.query(
    `SELECT oid IS NOT NULL AS is_there, has_schema_privilege(oid, 'USAGE') AS may_use,
       has_schema_privilege(oid, 'CREATE') AS may_create,
       has_database_privilege(current_database(), 'CREATE') AS may_make
     FROM (SELECT to_regnamespace(${literal(identifier(schema))})::oid AS oid) n`,
    [],
    PREPARE_MAX_MS,
  );
  const is = (column: string): boolean => row?.[column] === 't';
  return {
    ...{ isThere: is('is_there'), mayUse: is('may_use') },
    ...{ mayCreate: is('may_create'), mayMake: is('may_make') },
  };
}

function noSchema(schema: string, user: string): KomError {
  const sql = `CREATE SCHEMA ${identifier(schema)} AUTHORIZATION ${identifier(user)}`;
  return refused(`there is no schema ${schema}, and ${user} may not make it`, `run ${sql}`);
}

function noRight(
  schema: string,
  { user, right }: { readonly user: string; readonly right: 'USAGE' | 'CREATE' },
): KomError {
  const sql = `GRANT USAGE, CREATE ON SCHEMA ${identifier(schema)} TO ${identifier(user)}`;
  const what = `${user} has no right ${right} in schema ${schema}, which the tables of the archive need`;
  return refused(what, `name the owner of the schema as owner in the Kernel file, or run ${sql}`);
}

function refused(what: string, todo: string): KomError {
  const hint = `${todo} in that database (docs/POSTGRESQL.md, Roles)`;
  return new KomError('KOM_ARCHIVE_UNAVAILABLE', what, { hint, cause: new DatabaseError(what, NO_RIGHT) });
}

/** TimescaleDB is used where the database has it already; a Kernel installs no extension. */
async function schemaOfTimescale(connection: Connection): Promise<string | null> {
  const [row] = await connection.query(
    `SELECT n.nspname AS name FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
     WHERE e.extname = 'timescaledb'`,
    [],
    PREPARE_MAX_MS,
  );
  return row?.['name'] ?? null;
}
