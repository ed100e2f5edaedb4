import { KomError } from '../../../domain/errors.ts';
import { textOf } from './columns.ts';
import { type Connection, DatabaseError, literal, NO_RIGHT } from './connection.ts';

/** The key of the advisory lock of the schema's Kernels: another number for each schema of the database. */
const KEY = `hashtextextended('KOM Archive ' || current_schema(), 0)`;

/** Process id of the session that has the lock; null: none has. */
export const HOLDER = `(SELECT l.pid FROM pg_locks l
  WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND ((l.classid::bigint << 32) | l.objid::bigint) = ${KEY})`;

export const TRY_LOCK = `SELECT pg_try_advisory_lock(${KEY}) AS locked`;
export const UNLOCK = `SELECT pg_advisory_unlock(${KEY})`;
export const END_HOLDER = `SELECT pg_terminate_backend(pid)
  FROM (SELECT ${HOLDER} AS pid) h WHERE pid <> pg_backend_pid()`;

/**
 * The session of each Kernel has a second lock, which all of them can have at once and whose second number is
 * that of its role. Locks are shown to every role; when a session of another role began is not.
 */
const roleKey = (schema: string): string => `hashtext(${literal(`KOM Archive role ${schema}`)})`;

/** A number of a role may be beyond what an integer holds; it comes back as it was. */
export function showRole(schema: string): string {
  return `SELECT pg_advisory_lock_shared(${roleKey(schema)}, oid::bigint::bit(32)::integer)
    FROM pg_roles WHERE rolname = session_user`;
}

/**
 * Kernels that share a schema work as one role: no other one's sessions may be seen and ended.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE where a session of another role is there
 */
export async function checkOneRole(
  connection: Connection,
  { schema, answerMaxMs }: { readonly schema: string; readonly answerMaxMs: number },
): Promise<void> {
  const [other] = await connection.query(
    `SELECT r.rolname AS role, session_user AS own FROM pg_locks l JOIN pg_roles r ON r.oid = l.objid
     WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted AND r.rolname <> session_user
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND l.classid::bigint = ${roleKey(schema)}::bit(32)::bigint LIMIT 1`,
    [],
    answerMaxMs,
  );
  if (other === undefined) return;
  const [theirs, own] = [textOf(other, 'role'), textOf(other, 'own')];
  const what = `a Kernel that shares the schema ${schema} works as the role ${theirs}, this one as ${own}`;
  throw new KomError('KOM_ARCHIVE_UNAVAILABLE', what, {
    hint: 'set the same archive.postgres.user in all their files, and restart those that had another one',
    cause: new DatabaseError(what, NO_RIGHT),
  });
}

/**
 * Ends the session that has the archive open for writing, if it lives still; not that of a higher epoch.
 * Returns where it came from; `null`: there was none.
 */
export async function endWriter(
  connection: Connection,
  { epoch, answerMaxMs }: { readonly epoch: number | null; readonly answerMaxMs: number },
): Promise<string | null> {
  const [ended] = await connection.query(
    `SELECT coalesce(host(a.client_addr), 'local') AS address, pg_terminate_backend(a.pid)
     FROM archive_state s JOIN pg_stat_activity a
       ON a.pid = s.writer_pid AND a.backend_start = s.writer_started AND a.usename = current_user
     WHERE a.pid <> pg_backend_pid() AND ${epoch === null ? 'true' : `s.kernel_epoch <= ${epoch}`}`,
    [],
    answerMaxMs,
  );
  return ended === undefined ? null : textOf(ended, 'address');
}
