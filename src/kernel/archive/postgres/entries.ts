import { type Moved, movedBy } from '../../../domain/clock-offsets.ts';
import { entryRuns, type FoundEntry } from '../../../domain/entry-run.ts';
import type { SequenceSteps } from '../../../domain/sequence-steps.ts';
import type { ArchivedEntries, EntryQuery } from '../../../world/archive.ts';
import { integerOf, integerOrNull } from '../columns.ts';
import { clockFixEntry, clockFixOf, inOrder, stepsOf, timeGapEntry } from '../entry-rows.ts';
import { foundSample } from '../found-sample.ts';
import type { Register, StreamRow } from '../register.ts';
import type { TagIndexes } from '../tag-indexes.ts';
import type { Query } from './catalog.ts';
import { listOf, timeUs } from './columns.ts';
import type { Row } from './connection.ts';
import { sampleValueOf, VALUE_COLUMNS } from './row-values.ts';
import { IS_DAMAGED, SAMPLES } from './schema.ts';
import { inSnapshot } from './snapshot.ts';

/** What is asked for of one stream, as far as one answer goes. */
interface Asked {
  readonly stream: StreamRow;
  readonly first: number;
  readonly last: number;
}

const RANGE = 'stream = $1 AND sequence BETWEEN $2 AND $3';
/** The partitions, and the pages of each, that can have rows of the stream. */
const IN_SPAN = `source_time BETWEEN (SELECT rows_from FROM streams WHERE id = $1)
  AND (SELECT rows_to FROM streams WHERE id = $1)`;

/** Answers what `Archive.entries` asks; on a connection of its own, which is in no transaction. */
export async function readEntries(
  query: Query,
  register: Register,
  { asked, tagIndexes }: { readonly asked: EntryQuery; readonly tagIndexes: TagIndexes },
): Promise<ArchivedEntries> {
  const { streamId, first, last, limit } = asked;
  const stream = register.streams.get(streamId);
  if (stream === undefined) return { runs: [], through: last };
  return await inSnapshot(query, async () => {
    const range = { stream, first, last: Math.min(last, first + limit - 1) };
    const found = await readFound(query, range);
    if (found.length === 0) return { runs: [], through: await readThrough(query, { ...range, last }) };
    const dictionaries = await tagIndexes.of(register, stream, (id) => readTags(query, id));
    const terms = await readSteps(query, range, 'term');
    return { runs: entryRuns(found, { streamId, dictionaries, terms }), through: range.last };
  });
}

/**
 * Rows that are damaged are as if they were not there: what is before and behind them is given to another
 * Kernel, and they are not.
 */
const SOUND_ROWS = `${SAMPLES} r WHERE ${RANGE} AND ${IN_SPAN} AND NOT ${IS_DAMAGED}`;

/** All entries of a range of numbers, ascending. */
async function readFound(query: Query, range: Asked): Promise<readonly FoundEntry<number>[]> {
  const values = valuesOf(range);
  const rows = await query(
    `SELECT tag, ${timeUs('source_time')} AS source_us, ${timeUs('device_time')} AS device_us, flags, quality,
       sequence, ${VALUE_COLUMNS} FROM ${SOUND_ROWS} ORDER BY sequence`,
    values,
  );
  const moved = await readMoved(query, range);
  const samples = rows.map((row) => sampleEntry(row, moved));
  const gaps = await query(
    `SELECT *, array_to_json(tags) AS named, ${timeUs('from_time')} AS from_us,
       ${timeUs('to_time')} AS to_us, ${timeUs('raw_from_time')} AS raw_from_us,
       ${timeUs('raw_to_time')} AS raw_to_us FROM time_gaps WHERE ${RANGE}`,
    values,
  );
  const fixes = await query(
    `SELECT *, ${timeUs('at_time')} AS at_us FROM clock_fixes WHERE ${RANGE}`,
    values,
  );
  const timeGaps = gaps.map((row) =>
    timeGapEntry(row, moved, { tags: listOf(row, 'named'), isOneClock: row['is_one_clock'] === 't' }),
  );
  return inOrder(samples, [...timeGaps, ...fixes.map(clockFixEntry)]);
}

/** The last number in front of the first entry behind a range that has none. */
async function readThrough(query: Query, range: Asked): Promise<number> {
  const each = [
    `SELECT min(sequence) AS first FROM ${SOUND_ROWS}`,
    ...['time_gaps', 'clock_fixes'].map(
      (table) => `SELECT min(sequence) AS first FROM ${table} WHERE ${RANGE}`,
    ),
  ];
  const [row = {}] = await query(
    `SELECT min(first) AS first FROM (${each.join(' UNION ALL ')}) f`,
    valuesOf(range),
  );
  const next = integerOrNull(row, 'first');
  return next === null ? range.last : next - 1;
}

async function readTags(query: Query, dictionary: number): Promise<Int32Array> {
  const rows = await query('SELECT tag FROM dictionary_tags WHERE dictionary = $1 ORDER BY tag_index', [
    dictionary,
  ]);
  return Int32Array.from(rows, (row) => integerOf(row, 'tag'));
}

/** By how much the times of rows were moved, and which entries said so. */
async function readMoved(query: Query, range: Asked): Promise<Moved> {
  const offsets = await readSteps(query, range, 'clock-offset');
  if (offsets.length === 0) return movedBy(offsets, []);
  const entries = await query(
    `SELECT f.* FROM clock_fixes f JOIN streams s ON s.id = f.stream
       JOIN streams o ON o.stream_id = f.of_stream
     WHERE o.id = $1 AND s.site = o.site AND s.process = o.process`,
    [range.stream.id],
  );
  return movedBy(offsets, entries.map(clockFixOf));
}

async function readSteps(query: Query, range: Asked, name: 'term' | 'clock-offset'): Promise<SequenceSteps> {
  const rows = await query(
    `SELECT * FROM sequence_values WHERE stream = $1 AND name = $4 AND first_sequence <= $3
       AND last_sequence >= $2 ORDER BY first_sequence`,
    [...valuesOf(range), name],
  );
  return stepsOf(rows);
}

function valuesOf({ stream, first, last }: Asked): [number, number, number] {
  return [stream.id, first, last];
}

function sampleEntry(row: Row, moved: Moved): FoundEntry<number> {
  return foundSample(
    {
      ...{ sequence: integerOf(row, 'sequence'), tag: integerOf(row, 'tag'), flags: integerOf(row, 'flags') },
      ...{ sourceTimeUs: integerOf(row, 'source_us'), quality: integerOf(row, 'quality') },
      value: sampleValueOf(row),
      deviceTimeUs: integerOrNull(row, 'device_us') ?? undefined,
    },
    moved,
  );
}
