import { ENTRY_KIND_MASK } from '../../domain/block/block.ts';
import { type Moved, movedBy } from '../../domain/clock-offsets.ts';
import { entryRuns, type FoundEntry, type UsedDictionary } from '../../domain/entry-run.ts';
import type { SequenceSteps } from '../../domain/sequence-steps.ts';
import type { ArchivedEntries, EntryQuery } from '../../world/archive.ts';
import type { Catalog } from './catalog.ts';
import { integerOf, integerOrNull } from './columns.ts';
import { type Database, type Row, textOf } from './duckdb.ts';
import { clockFixEntry, clockFixOf, inOrder, stepsOf, timeGapEntry } from './entry-rows.ts';
import { foundSample } from './found-sample.ts';
import type { StreamRow } from './register.ts';
import { rowValue } from './row-values.ts';
import type { TagIndexes } from './tag-indexes.ts';

type Read = (sql: string) => Promise<Row[]>;

/** What is asked for of one stream, as far as one answer goes. */
interface Asked {
  readonly stream: StreamRow;
  readonly first: number;
  readonly last: number;
}

/** Answers what `Archive.entries` asks. */
export async function readEntries(
  database: Database,
  catalog: Catalog,
  { query, tagIndexes }: { readonly query: EntryQuery; readonly tagIndexes: TagIndexes },
): Promise<ArchivedEntries> {
  const { streamId, first, last, limit } = query;
  const stream = catalog.streams.get(streamId);
  if (stream === undefined) return { runs: [], through: last };
  const tables = [...catalog.tables].sort();
  return await database.readTogether(async (read) => {
    const asked = { stream, first, last: Math.min(last, first + limit - 1) };
    const found = await readFound(read, tables, asked);
    if (found.length === 0) return { runs: [], through: await readThrough(read, tables, { ...asked, last }) };
    const dictionaries = await readDictionaries(read, catalog, { stream, tagIndexes });
    const terms = await readSteps(read, asked, 'term');
    return { runs: entryRuns(found, { streamId, dictionaries, terms }), through: asked.last };
  });
}

/** All entries of a range of numbers, ascending. */
async function readFound(
  read: Read,
  tables: readonly string[],
  asked: Asked,
): Promise<readonly FoundEntry<number>[]> {
  const filter = filterOf(asked);
  const moved = await readMoved(read, asked);
  const samples = await readSampleEntries(read, tables, { ...asked, moved });
  const timeGaps = await read(`SELECT * FROM time_gaps WHERE ${filter}`);
  const clockFixes = await read(`SELECT * FROM clock_fixes WHERE ${filter}`);
  const gapEntries = timeGaps.map((row) =>
    timeGapEntry(row, moved, {
      tags: JSON.parse(textOf(row, 'tags')) as string[],
      isOneClock: row['is_one_clock'] === true,
    }),
  );
  return inOrder(samples, [...gapEntries, ...clockFixes.map(clockFixEntry)]);
}

async function readSampleEntries(
  read: Read,
  tables: readonly string[],
  asked: Asked & { readonly moved: Moved },
): Promise<FoundEntry<number>[]> {
  const filter = filterOf(asked);
  const each = tables.map(
    (table) => `SELECT tag, source_us, flags, value, text, quality, sequence FROM ${table} WHERE ${filter}`,
  );
  if (each.length === 0) return [];
  const rows = await read(`${each.join(' UNION ALL ')} ORDER BY sequence`);
  const deviceRows = await read(`SELECT sequence, device_us FROM device_times WHERE ${filter}`);
  const deviceTimes = new Map(
    deviceRows.map((row) => [integerOf(row, 'sequence'), integerOf(row, 'device_us')]),
  );
  return rows.map((row) => sampleEntry(row, asked.moved, deviceTimes));
}

/** The last number in front of the first entry behind a range that has none. */
async function readThrough(read: Read, tables: readonly string[], asked: Asked): Promise<number> {
  const filter = filterOf(asked);
  const each = [...tables, 'time_gaps', 'clock_fixes'].map(
    (table) => `SELECT min(sequence) AS first FROM ${table} WHERE ${filter}`,
  );
  const [row] = await read(`SELECT min(first) AS first FROM (${each.join(' UNION ALL ')})`);
  const next = row === undefined ? null : integerOrNull(row, 'first');
  return next === null ? asked.last : next - 1;
}

async function readDictionaries(
  read: Read,
  catalog: Catalog,
  { stream, tagIndexes }: { readonly stream: StreamRow; readonly tagIndexes: TagIndexes },
): Promise<UsedDictionary<number>[]> {
  return await tagIndexes.of(catalog, stream, async (dictionary) => {
    const rows = await read(
      `SELECT tag FROM dictionary_tags WHERE dictionary = ${dictionary} ORDER BY tag_index`,
    );
    return Int32Array.from(rows, (row) => integerOf(row, 'tag'));
  });
}

/** By how much the times of rows were moved, and which entries said so. */
async function readMoved(read: Read, asked: Asked): Promise<Moved> {
  const offsets = await readSteps(read, asked, 'clock-offset');
  if (offsets.length === 0) return movedBy(offsets, []);
  const entries = await read(
    `SELECT f.* FROM clock_fixes f JOIN streams s ON s.id = f.stream
       JOIN streams o ON o.stream_id = f.of_stream
     WHERE o.id = ${asked.stream.id} AND s.site = o.site AND s.process = o.process`,
  );
  return movedBy(offsets, entries.map(clockFixOf));
}

async function readSteps(
  read: Read,
  { stream, first, last }: Asked,
  name: 'term' | 'clock-offset',
): Promise<SequenceSteps> {
  const rows = await read(
    `SELECT * FROM sequence_values WHERE stream = ${stream.id} AND name = '${name}'
       AND first_sequence <= ${last} AND last_sequence >= ${first} ORDER BY first_sequence`,
  );
  return stepsOf(rows);
}

function filterOf({ stream, first, last }: Asked): string {
  return `stream = ${stream.id} AND sequence BETWEEN ${first} AND ${last}`;
}

function sampleEntry(row: Row, moved: Moved, deviceTimes: ReadonlyMap<number, number>): FoundEntry<number> {
  const sequence = integerOf(row, 'sequence');
  const flags = integerOf(row, 'flags');
  return foundSample(
    {
      ...{ sequence, flags, tag: integerOf(row, 'tag'), sourceTimeUs: integerOf(row, 'source_us') },
      ...{ value: rowValue(row, flags & ENTRY_KIND_MASK), quality: integerOf(row, 'quality') },
      deviceTimeUs: deviceTimes.get(sequence),
    },
    moved,
  );
}
