import { KomError } from '../../../domain/errors.ts';
import { textOf } from './columns.ts';
import { type Connection, DatabaseError, identifier, TABLES_DIFFER } from './connection.ts';
import { SAMPLE_TYPES, SAMPLES } from './schema.ts';

/**
 * Rows go in as bytes, which a server takes for whatever a column of that length is.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE with the statements that put right what somebody has changed
 */
export async function checkSampleTable(
  connection: Connection,
  { schema, answerMaxMs }: { readonly schema: string; readonly answerMaxMs: number },
): Promise<void> {
  const wrong = await connection.query(
    `SELECT g.name, format_type(g.type::regtype, NULL) AS type, format_type(a.atttypid, NULL) AS found
     FROM unnest($1::text[], $2::text[]) g (name, type) LEFT JOIN pg_attribute a
       ON a.attrelid = '${SAMPLES}'::regclass AND a.attname = g.name AND NOT a.attisdropped
     WHERE a.atttypid IS DISTINCT FROM g.type::regtype`,
    [SAMPLE_TYPES.map(([name]) => name), SAMPLE_TYPES.map(([, type]) => type)],
    answerMaxMs,
  );
  if (wrong.length === 0) return;
  const findings = wrong.map((row) => {
    const [name, type] = [textOf(row, 'name'), textOf(row, 'type')];
    const found = row['found'] ?? null;
    return found === null
      ? { what: `${name} is not there, or has another name`, change: `ADD ${name} ${type}` }
      : { what: `${name} is ${found} in place of ${type}`, change: `ALTER ${name} TYPE ${type}` };
  });
  const table = `${identifier(schema)}.${SAMPLES}`;
  const what = `somebody has changed ${table}: ${findings.map((each) => each.what).join(', ')}`;
  const sql = `ALTER TABLE ${table} ${findings.map(({ change }) => change).join(', ')}`;
  throw new KomError('KOM_ARCHIVE_UNAVAILABLE', what, {
    hint: `run ${sql} as its owner, or restore a backup (docs/POSTGRESQL.md, Backup and restore)`,
    cause: new DatabaseError(what, TABLES_DIFFER),
  });
}
