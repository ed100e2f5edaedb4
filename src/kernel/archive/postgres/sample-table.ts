import { KomError } from '../../../domain/errors.ts';
import { textOf } from './columns.ts';
import { type Connection, DatabaseError, identifier, TABLES_DIFFER } from './connection.ts';
import { SAMPLE_TYPES, SAMPLES } from './schema.ts';

interface Checking {
  readonly schema: string;
  readonly answerMaxMs: number;
}

/** A column that is of another type, or not there. */
interface Finding {
  readonly what: string;
  /** What `ALTER TABLE` is to do. */
  readonly change: string;
  /** Whether that makes the column anew, and empty. */
  readonly isAdded: boolean;
}

/**
 * Rows go in as bytes, which a server takes for whatever a column of that length is.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE with the statements that put right what somebody has changed
 */
export async function checkSampleTable(
  connection: Connection,
  { schema, answerMaxMs }: Checking,
): Promise<void> {
  const findings = await findingsOf(connection, answerMaxMs);
  if (findings.length === 0) return;
  const table = `${identifier(schema)}.${SAMPLES}`;
  const what = `somebody has changed ${table}: ${findings.map((each) => each.what).join(', ')}`;
  const sql = findings.map(({ change }) => `ALTER TABLE ${table} ${change}`).join('; ');
  const added = findings.some(({ isAdded }) => isAdded) ? `${ADDED}; ` : '';
  throw new KomError('KOM_ARCHIVE_UNAVAILABLE', what, {
    hint: `run ${sql} as its owner, or restore a backup (${added}docs/POSTGRESQL.md, Values that are gone)`,
    cause: new DatabaseError(what, TABLES_DIFFER),
  });
}

const ADDED = 'ADD brings back no values: rows that are there have nothing in that column any more';

async function findingsOf(connection: Connection, answerMaxMs: number): Promise<Finding[]> {
  const wrong = await connection.query(
    `SELECT g.name, g.place, format_type(g.type::regtype, NULL) AS type,
       format_type(a.atttypid, NULL) AS found
     FROM unnest($1::text[], $2::text[]) WITH ORDINALITY g (name, type, place) LEFT JOIN pg_attribute a
       ON a.attrelid = '${SAMPLES}'::regclass AND a.attname = g.name AND NOT a.attisdropped
     WHERE a.atttypid IS DISTINCT FROM g.type::regtype ORDER BY g.place`,
    [SAMPLE_TYPES.map(([name]) => name), SAMPLE_TYPES.map(([, type]) => type)],
    answerMaxMs,
  );
  const isMissing = wrong.some((row) => (row['found'] ?? null) === null);
  const renamed = isMissing ? await renamedOf(connection, answerMaxMs) : new Map<string, string>();
  return wrong.map((row): Finding => {
    const [name, type, found] = [textOf(row, 'name'), textOf(row, 'type'), row['found'] ?? null];
    if (found !== null) {
      const change = `ALTER ${name} TYPE ${type}`;
      return { what: `${name} is ${found} in place of ${type}`, change, isAdded: false };
    }
    const other = renamed.get(name);
    if (other === undefined) {
      return { what: `${name} is not there`, change: `ADD ${name} ${type}`, isAdded: true };
    }
    const change = `RENAME ${identifier(other)} TO ${name}`;
    return { what: `${name} is not there, and ${other} of its type is`, change, isAdded: false };
  });
}

/**
 * For columns that are not there, the one that has its values: a column that is none of the table's own, of
 * the same type, at the same place, which a rename keeps. Another one is somebody's own.
 */
async function renamedOf(connection: Connection, answerMaxMs: number): Promise<Map<string, string>> {
  const rows = await connection.query(
    `SELECT g.name, a.attname AS other
     FROM unnest($1::text[], $2::text[]) WITH ORDINALITY g (name, type, place)
     JOIN pg_attribute a ON a.attrelid = '${SAMPLES}'::regclass AND a.attnum > 0 AND NOT a.attisdropped
       AND a.attnum = g.place AND a.atttypid = g.type::regtype AND a.attname <> ALL ($1::text[])
     WHERE NOT EXISTS (SELECT FROM pg_attribute o
       WHERE o.attrelid = a.attrelid AND o.attname = g.name AND NOT o.attisdropped)
     ORDER BY g.place`,
    [SAMPLE_TYPES.map(([name]) => name), SAMPLE_TYPES.map(([, type]) => type)],
    answerMaxMs,
  );
  return new Map(rows.map((row) => [textOf(row, 'name'), textOf(row, 'other')]));
}
