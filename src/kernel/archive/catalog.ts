import type { Coverage, CoverageRange, CoverageState } from '../../domain/coverage.ts';
import { VALUE_TYPES, type ValueType } from '../../domain/dictionary.ts';
import { KomError } from '../../domain/errors.ts';
import { type PreviousStream, TAG_CLASSES, type TagClass } from '../../domain/stream.ts';
import type { ArchivedStream, ArchivedTag } from '../../world/archive.ts';
import { type Database, integerOf, integerOrNull, type Row, textOf } from './duckdb.ts';
import { monthOfTable, SCHEMA, SCHEMA_VERSION } from './schema.ts';

/** A stream as the database has it; coverage apart, because it changes far more often. */
export interface StreamRow extends Omit<ArchivedStream, 'coverage'> {
  /** Small number that rows carry instead of the stream id. */
  readonly id: number;
  readonly endedSequence: number | null;
  /** Ids of the dictionaries that its blocks used. */
  readonly dictionaries: ReadonlySet<number>;
}

export interface TagRow extends ArchivedTag {
  readonly id: number;
}

/**
 * Everything small of the database, in memory: a commit reads nothing from the disk. It changes only after
 * a transaction is durable, and is thrown away and read again after one that failed.
 */
export interface Catalog {
  /** By site and name, see `tagKey`. */
  readonly tags: Map<string, TagRow>;
  /** Ids by content hash. */
  readonly dictionaries: Map<string, number>;
  readonly streams: Map<string, StreamRow>;
  readonly streamsById: Map<number, StreamRow>;
  readonly coverage: Map<string, Coverage>;
  /** Tables of samples. */
  readonly tables: Set<string>;
}

export function tagKey(site: string, name: string): string {
  return `${site}\n${name}`;
}

/** Makes the tables that are not there and reads the small ones. @throws KomError KOM_ARCHIVE_UNAVAILABLE */
export async function loadCatalog(database: Database): Promise<Catalog> {
  await database.write(SCHEMA);
  const [format] = await database.read('SELECT version FROM archive_format');
  if (format === undefined) await database.write(`INSERT INTO archive_format VALUES (${SCHEMA_VERSION})`);
  else if (integerOf(format, 'version') !== SCHEMA_VERSION) {
    throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'its tables are of another version', {
      expected: String(SCHEMA_VERSION),
      got: String(integerOf(format, 'version')),
    });
  }
  const dictionaries = await database.read('SELECT id, hash FROM dictionaries');
  const streams = await loadStreams(database);
  const tags = (await database.read('SELECT * FROM tags')).map(tagRow);
  const tables = await database.read('SELECT table_name FROM duckdb_tables()');
  return {
    tags: new Map(tags.map((tag) => [tagKey(tag.site, tag.name), tag])),
    dictionaries: new Map(dictionaries.map((row) => [textOf(row, 'hash'), integerOf(row, 'id')])),
    streams: new Map(streams.map((stream) => [stream.streamId, stream])),
    streamsById: new Map(streams.map((stream) => [stream.id, stream])),
    coverage: await loadCoverage(database, streams),
    tables: new Set(
      tables.map((row) => textOf(row, 'table_name')).filter((table) => monthOfTable(table) !== undefined),
    ),
  };
}

async function loadStreams(database: Database): Promise<StreamRow[]> {
  const used = new Map<number, Set<number>>();
  for (const row of await database.read('SELECT * FROM stream_dictionaries')) {
    const stream = integerOf(row, 'stream');
    used.set(stream, (used.get(stream) ?? new Set()).add(integerOf(row, 'dictionary')));
  }
  const rows = await database.read('SELECT * FROM streams');
  return rows.map((row): StreamRow => {
    const id = integerOf(row, 'id');
    return {
      id,
      streamId: textOf(row, 'stream_id'),
      bootId: textOf(row, 'boot_id'),
      startedAtUs: integerOf(row, 'started_us'),
      previous: row['previous'] === null ? null : (JSON.parse(textOf(row, 'previous')) as PreviousStream),
      site: textOf(row, 'site'),
      process: textOf(row, 'process'),
      instance: integerOf(row, 'instance'),
      observedUntilUs: integerOf(row, 'observed_until_us'),
      endedAtUs: integerOrNull(row, 'ended_us'),
      endedSequence: integerOrNull(row, 'ended_sequence'),
      dictionaries: used.get(id) ?? new Set(),
    };
  });
}

async function loadCoverage(
  database: Database,
  streams: readonly StreamRow[],
): Promise<Map<string, Coverage>> {
  const byId = new Map<number, CoverageRange[]>();
  for (const row of await database.read('SELECT * FROM coverage ORDER BY stream, first_sequence')) {
    const ranges = byId.get(integerOf(row, 'stream')) ?? [];
    ranges.push({
      first: integerOf(row, 'first_sequence'),
      last: integerOf(row, 'last_sequence'),
      state: textOf(row, 'state') as CoverageState,
    });
    byId.set(integerOf(row, 'stream'), ranges);
  }
  return new Map(streams.map((stream) => [stream.streamId, byId.get(stream.id) ?? []]));
}

function tagRow(row: Row): TagRow {
  return {
    id: integerOf(row, 'id'),
    site: textOf(row, 'site'),
    name: textOf(row, 'name'),
    process: textOf(row, 'process'),
    station: textOf(row, 'station'),
    class: TAG_CLASSES.find((each) => each === textOf(row, 'class')) ?? ('measurement' satisfies TagClass),
    type: VALUE_TYPES.find((each) => each === textOf(row, 'type')) ?? ('float64' satisfies ValueType),
    unit: textOf(row, 'unit'),
    formerly: JSON.parse(textOf(row, 'formerly')) as string[],
  };
}
