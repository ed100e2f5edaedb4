import { describeError } from '../../../domain/errors.ts';
import type { Log } from '../../../world/log.ts';
import { textOf } from './columns.ts';
import { type Connection, identifier } from './connection.ts';
import { createViews, SAMPLES, VIEW_READS, VIEWS } from './schema.ts';

/** A view that people read is waited for so long, and no longer. */
const LOCK_MAX_MS = 5000;

interface Mending {
  readonly schema: string;
  readonly log: Log;
  /** They are made anew as they are to be in this version. */
  readonly areOld: boolean;
  readonly answerMaxMs: number;
}

/**
 * Views follow a column that is renamed: they go on reading it under its new name. Those that read another
 * column than the one that is written, or are not there, are made anew by their owner; else the log says what
 * to do. The archive takes what comes without them. Within a transaction, and the columns are right.
 */
export async function mendViews(
  connection: Connection,
  { schema, log, areOld, answerMaxMs }: Mending,
): Promise<void> {
  const run = (sql: string) => connection.query(sql, [], answerMaxMs);
  const views = areOld ? VIEWS : await wrongViews(connection, answerMaxMs);
  if (views.length === 0) return;
  const [owner = {}] = await run(
    `SELECT pg_get_userbyid(relowner) AS name, pg_has_role(relowner, 'USAGE') AS is_own
     FROM pg_class WHERE oid = '${SAMPLES}'::regclass`,
  );
  const what = areOld
    ? 'views of the archive are those of an older version'
    : 'views of the archive do not read the columns that are written, or are not there';
  if (owner['is_own'] !== 't') {
    const who = `${textOf(owner, 'name')}, who owns the tables,`;
    const hint = `name ${who} as owner in the Kernel file for one start`;
    log.warn({ schema, views, hint }, what);
    return;
  }
  await run(`SAVEPOINT views; SET LOCAL lock_timeout = ${LOCK_MAX_MS}`);
  try {
    await run(createViews());
    await run('RELEASE SAVEPOINT views; SET LOCAL lock_timeout = DEFAULT');
    if (!areOld) log.warn({ schema, views }, `${what}: they are made anew`);
  } catch (error) {
    if (!connection.isUsable) throw error;
    await run('ROLLBACK TO SAVEPOINT views');
    const drop = views.map((view) => `DROP VIEW IF EXISTS ${identifier(schema)}.${view}`).join('; ');
    const then = 'start the Kernel again, and give those who read them their rights';
    const hint = `run ${drop} as their owner, ${then}`;
    log.warn({ schema, views, error: describeError(error), hint }, what);
  }
}

/** Columns of views that are more than the column of the same name. */
const MADE: ReadonlySet<string> = new Set(['tag', 'stream', 'device_time']);

/** Those that do not depend on each of the columns, or give another one the name of one of them. */
async function wrongViews(connection: Connection, answerMaxMs: number): Promise<string[]> {
  const columns = VIEW_READS.filter((column) => !MADE.has(column)).join('|');
  const rows = await connection.query(
    `SELECT v.name FROM (SELECT name, to_regclass(name) AS id FROM unnest($1::text[]) n (name)) v
     WHERE v.id IS NULL OR pg_get_viewdef(v.id) ~ '\\sAS "?(${columns})"?[,[:space:]]' OR EXISTS (
       SELECT FROM unnest($2::text[]) g (name) WHERE NOT EXISTS (
         SELECT FROM pg_rewrite w
           JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
           JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
         WHERE w.ev_class = v.id AND d.refclassid = 'pg_class'::regclass
           AND d.refobjid = '${SAMPLES}'::regclass AND a.attname = g.name))
     ORDER BY v.name`,
    [VIEWS, VIEW_READS],
    answerMaxMs,
  );
  return rows.map((row) => textOf(row, 'name'));
}
