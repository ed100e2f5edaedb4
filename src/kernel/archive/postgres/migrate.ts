import { KomError } from '../../../domain/errors.ts';
import type { Log } from '../../../world/log.ts';
import { integerOf } from './columns.ts';
import { type Connection, identifier, literal } from './connection.ts';
import {
  createFunctions,
  createSamples,
  createTables,
  createViews,
  grantTo,
  SCHEMA_VERSION,
} from './schema.ts';

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
 * Makes the schema and its tables if they are not there, and gives the writer its rights. Nothing is changed
 * where they are of this version.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE if the tables are of a newer version; DatabaseError
 */
export async function prepareTables(
  connection: Connection,
  { schema, writer, log }: Preparing,
): Promise<void> {
  const run = (sql: string) => connection.query(sql, [], PREPARE_MAX_MS);
  const [who] = await run('SELECT current_user AS name');
  const isWriter = who?.['name'] === writer;
  if (isWriter && (await versionOf(connection, schema)) === SCHEMA_VERSION) return;
  await run(`BEGIN; SELECT pg_advisory_xact_lock(${PREPARE_LOCK})`);
  const version = await versionOf(connection, schema);
  if (version === null) {
    const timescale = await schemaOfTimescale(connection);
    const isHypertable = timescale !== null;
    if (!(await hasSchema(connection, schema))) await run(`CREATE SCHEMA ${identifier(schema)}`);
    await run(`${createTables()}${createSamples(timescale)}
      ${createFunctions(schema, timescale)}${createViews()}
      INSERT INTO archive_format VALUES (${SCHEMA_VERSION}, ${isHypertable});`);
    log.info({ schema, version: SCHEMA_VERSION, isHypertable }, 'the tables of the archive are made');
  }
  if (!isWriter) await run(grantTo(schema, writer));
  await run('COMMIT');
}

/** Version of the tables; `null`: there are none. @throws KomError KOM_ARCHIVE_UNAVAILABLE if it is newer */
export async function versionOf(connection: Connection, schema: string): Promise<number | null> {
  const [there] = await connection.query(
    `SELECT to_regclass(${literal(`${identifier(schema)}.archive_format`)}) IS NOT NULL AS there`,
    [],
    PREPARE_MAX_MS,
  );
  if (there?.['there'] !== 't') return null;
  const [format] = await connection.query('SELECT version FROM archive_format', [], PREPARE_MAX_MS);
  const version = format === undefined ? 0 : integerOf(format, 'version');
  if (version === SCHEMA_VERSION) return version;
  throw new KomError('KOM_ARCHIVE_UNAVAILABLE', `the tables in schema ${schema} are of another version`, {
    expected: String(SCHEMA_VERSION),
    got: String(version),
    hint: 'a newer program has written them',
  });
}

async function hasSchema(connection: Connection, schema: string): Promise<boolean> {
  const [row] = await connection.query(
    `SELECT to_regnamespace(${literal(identifier(schema))}) IS NOT NULL AS there`,
  );
  return row?.['there'] === 't';
}

/** TimescaleDB is used where the database has it already; a Kernel installs no extension. */
async function schemaOfTimescale(connection: Connection): Promise<string | null> {
  const [row] = await connection.query(
    `SELECT n.nspname AS name FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
     WHERE e.extname = 'timescaledb'`,
  );
  return row?.['name'] ?? null;
}
