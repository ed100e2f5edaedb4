import { ENTRY_CAUSE_SHIFT, EntryKind } from '../../domain/block/block.ts';
import { KomError } from '../../domain/errors.ts';
import { integerOf } from './columns.ts';
import { type Database, textOf } from './duckdb.ts';
import { FLAGS_MARKS_SHIFT } from './sample-flags.ts';
import {
  createSamplesTable,
  createSamplesViews,
  INTEGER_IN_VALUE_MAX,
  monthOfTable,
  SCHEMA,
  SCHEMA_VERSION,
} from './schema.ts';

/**
 * Makes the tables that are not there and brings those of an older version up to this one, at once.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE if the tables are of a newer version
 */
export async function prepareTables(database: Database): Promise<void> {
  await database.transaction(async () => {
    await database.write(SCHEMA);
    const [format] = await database.readWritten('SELECT version FROM archive_format');
    if (format === undefined) {
      await database.write(`INSERT INTO archive_format VALUES (${SCHEMA_VERSION})`);
      return;
    }
    const version = integerOf(format, 'version');
    if (version > SCHEMA_VERSION || version < 1) {
      throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'its tables are of another version', {
        expected: String(SCHEMA_VERSION),
        got: String(version),
        hint: 'a newer program has written them',
      });
    }
    if (version === 1) await fromVersion1(database);
    else if (version < 4) await addOneClock(database);
    if (version < 3) await toVersion3(database);
    if (version < SCHEMA_VERSION)
      await database.write(`UPDATE archive_format SET version = ${SCHEMA_VERSION}`);
  });
}

/** Tables of samples. */
export async function samplesTables(database: Database): Promise<string[]> {
  const rows = await database.readWritten('SELECT table_name FROM duckdb_tables()');
  return rows
    .map((row) => textOf(row, 'table_name'))
    .filter((table) => monthOfTable(table) !== undefined)
    .sort();
}

/** Version 2 has fewer columns a sample, knows clock fixes and terms. */
async function fromVersion1(database: Database): Promise<void> {
  const tables = await samplesTables(database);
  const { int64, true: yes, false: no } = EntryKind;
  const most = INTEGER_IN_VALUE_MAX;
  for (const table of tables) {
    await database.write(
      `INSERT INTO device_times SELECT stream, sequence, device_us FROM ${table}
       WHERE device_us <> -9223372036854775808`,
    );
    await database.write(`ALTER TABLE ${table} RENAME TO version_1`);
    await database.write(createSamplesTable(table));
    await database.write(
      `INSERT INTO ${table} SELECT tag, source_us, received_us,
         kind + (cause::USMALLINT << ${ENTRY_CAUSE_SHIFT}) + (marks::USMALLINT << ${FLAGS_MARKS_SHIFT}),
         CASE WHEN kind IN (${int64}, ${yes}, ${no}) THEN value_int::DOUBLE ELSE value_float END,
         CASE WHEN kind = ${int64} AND value_int NOT BETWEEN -${most} AND ${most}
           THEN value_int::VARCHAR ELSE value_text END,
         quality, stream, sequence FROM version_1`,
    );
    await database.write('DROP TABLE version_1');
  }
  await database.write('ALTER TABLE time_gaps ADD COLUMN raw_from_us BIGINT');
  await database.write('ALTER TABLE time_gaps ADD COLUMN raw_to_us BIGINT');
  await addOneClock(database);
  await database.write('UPDATE time_gaps SET raw_from_us = from_us, raw_to_us = to_us');
}

/** Version 3 knows scan periods, and a view that hides what another instance tells better. */
async function toVersion3(database: Database): Promise<void> {
  await database.write('ALTER TABLE tags ADD COLUMN IF NOT EXISTS scan_ms INTEGER');
  const tables = await samplesTables(database);
  if (tables.length > 0) await database.write(createSamplesViews(tables));
}

/** Version 4 knows whether one clock told both ends of a time gap, and the entries of clock fixes. */
async function addOneClock(database: Database): Promise<void> {
  await database.write('ALTER TABLE time_gaps ADD COLUMN is_one_clock BOOLEAN');
}
