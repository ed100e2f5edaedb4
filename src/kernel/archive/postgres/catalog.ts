import type { CoverageRange, CoverageState } from '../../../domain/coverage.ts';
import { VALUE_TYPES, type ValueType } from '../../../domain/dictionary.ts';
import type { LateRange } from '../../../domain/late-range.ts';
import type { SequenceStep } from '../../../domain/sequence-steps.ts';
import { type PreviousStream, TAG_CLASSES, type TagClass } from '../../../domain/stream.ts';
import { integerOf, integerOrNull } from '../columns.ts';
import { storedFixOf } from '../entry-rows.ts';
import { knownFixes, type StoredFix } from '../known-fixes.ts';
import { type Register, type StepName, type StreamRow, type TagRow, tagKey } from '../register.ts';
import type { Span } from '../rival-plan.ts';
import { listOf, textOf, timeUs } from './columns.ts';
import type { Row, Value } from './connection.ts';

/** A late range that may still grow, or that nobody was told of. */
export interface OpenLateRange extends LateRange {
  readonly id: number;
}

/** What is in memory of the database, see `Register`. */
export interface PostgresCatalog extends Register {
  /** Where the rows of a stream are, by its small id: at most there. No entry: it has none. */
  readonly rowSpans: Map<number, Span>;
  /** Starts of months, integer µs, that there is a partition for as far as this session knows. */
  readonly months: Set<number>;
  /** Late ranges that were not announced, by `lateKey`. */
  openLate: ReadonlyMap<string, OpenLateRange>;
  /** The highest id in `late_ranges`. */
  lateId: number;
  readonly isHypertable: boolean;
  /** Of the tables. */
  readonly version: number;
}

export type Query = (sql: string, values?: readonly Value[]) => Promise<readonly Row[]>;

export function lateKey({ site, process, station }: LateRange): string {
  return [site, process, station].join('\n');
}

/** Reads the small tables. */
export async function loadCatalog(query: Query): Promise<PostgresCatalog> {
  const [format] = await query('SELECT version, is_hypertable FROM archive_format');
  const dictionaries = await query('SELECT id, hash FROM dictionaries ORDER BY id');
  const tags = (await query('SELECT *, array_to_json(formerly) AS former FROM tags')).map(tagRow);
  const { streams, rowSpans } = await loadStreams(query);
  const late = await loadOpenLate(query);
  const [last] = await query('SELECT coalesce(max(id), 0) AS id FROM late_ranges');
  const byId = new Map(streams.map(({ id, streamId }) => [id, streamId]));
  return {
    tags: new Map(tags.map((tag) => [tagKey(tag.site, tag.name), tag])),
    tagsById: new Map(tags.map((tag) => [tag.id, tag])),
    dictionaries: new Map(dictionaries.map((row) => [textOf(row, 'hash'), integerOf(row, 'id')])),
    streams: new Map(streams.map((stream) => [stream.streamId, stream])),
    streamsById: new Map(streams.map((stream) => [stream.id, stream])),
    coverage: await loadCoverage(query, byId),
    steps: await loadSteps(query, byId),
    clockFixes: knownFixes(await loadClockFixes(query), streams),
    rowSpans,
    months: new Set(),
    openLate: new Map(late.map((range) => [lateKey(range), range])),
    lateId: last === undefined ? 0 : integerOf(last, 'id'),
    isHypertable: format?.['is_hypertable'] === 't',
    version: format === undefined ? 0 : integerOf(format, 'version'),
  };
}

async function loadStreams(
  query: Query,
): Promise<{ readonly streams: StreamRow[]; readonly rowSpans: Map<number, Span> }> {
  const used = new Map<number, Set<number>>();
  for (const row of await query('SELECT * FROM stream_dictionaries')) {
    const stream = integerOf(row, 'stream');
    used.set(stream, (used.get(stream) ?? new Set()).add(integerOf(row, 'dictionary')));
  }
  const rowSpans = new Map<number, Span>();
  const rows = await query(
    `SELECT *, ${timeUs('started_time')} AS started_us, ${timeUs('observed_until')} AS observed_us,
       ${timeUs('ended_time')} AS ended_us, ${timeUs('rows_from')} AS rows_from_us,
       ${timeUs('rows_to')} AS rows_to_us FROM streams`,
  );
  const streams = rows.map((row): StreamRow => {
    const id = integerOf(row, 'id');
    const fromUs = integerOrNull(row, 'rows_from_us');
    const toUs = integerOrNull(row, 'rows_to_us');
    if (fromUs !== null && toUs !== null) rowSpans.set(id, { fromUs, toUs });
    return {
      id,
      streamId: textOf(row, 'stream_id'),
      bootId: textOf(row, 'boot_id'),
      startedAtUs: integerOf(row, 'started_us'),
      previous: row['previous'] === null ? null : (JSON.parse(textOf(row, 'previous')) as PreviousStream),
      site: textOf(row, 'site'),
      process: textOf(row, 'process'),
      instance: integerOf(row, 'instance'),
      observedUntilUs: integerOf(row, 'observed_us'),
      endedAtUs: integerOrNull(row, 'ended_us'),
      endedSequence: integerOrNull(row, 'ended_sequence'),
      dictionaries: used.get(id) ?? new Set(),
    };
  });
  return { streams, rowSpans };
}

async function loadCoverage(
  query: Query,
  streams: ReadonlyMap<number, string>,
): Promise<Map<string, CoverageRange[]>> {
  const coverage = new Map<string, CoverageRange[]>();
  for (const row of await query('SELECT * FROM coverage ORDER BY stream, first_sequence')) {
    const streamId = streams.get(integerOf(row, 'stream')) ?? '';
    const ranges = coverage.get(streamId) ?? [];
    ranges.push({
      first: integerOf(row, 'first_sequence'),
      last: integerOf(row, 'last_sequence'),
      state: textOf(row, 'state') as CoverageState,
    });
    coverage.set(streamId, ranges);
  }
  return coverage;
}

async function loadSteps(
  query: Query,
  streams: ReadonlyMap<number, string>,
): Promise<Record<StepName, Map<string, SequenceStep[]>>> {
  const steps = {
    'clock-offset': new Map<string, SequenceStep[]>(),
    term: new Map<string, SequenceStep[]>(),
  };
  for (const row of await query('SELECT * FROM sequence_values ORDER BY stream, first_sequence')) {
    const of = steps[textOf(row, 'name') as StepName];
    const streamId = streams.get(integerOf(row, 'stream')) ?? '';
    const range = { first: integerOf(row, 'first_sequence'), last: integerOf(row, 'last_sequence') };
    of.set(streamId, [...(of.get(streamId) ?? []), { ...range, value: integerOf(row, 'value') }]);
  }
  return steps;
}

async function loadClockFixes(query: Query): Promise<StoredFix[]> {
  const rows = await query(
    `SELECT *, ${timeUs('at_time')} AS at_us FROM clock_fixes ORDER BY stream, sequence`,
  );
  return rows.map(storedFixOf);
}

/** Columns of `late_ranges` as `lateRangeOf` reads them. */
export const LATE_COLUMNS = `id, site, process, station, ${timeUs('from_time')} AS from_us,
  ${timeUs('to_time')} AS to_us, ${timeUs('since')} AS since_us, ${timeUs('completed_time')} AS completed_us`;

export function lateRangeOf(row: Row): OpenLateRange {
  return {
    id: integerOf(row, 'id'),
    site: textOf(row, 'site'),
    process: textOf(row, 'process'),
    station: textOf(row, 'station'),
    fromUs: integerOf(row, 'from_us'),
    toUs: integerOf(row, 'to_us'),
    sinceUs: integerOf(row, 'since_us'),
    completedAtUs: integerOf(row, 'completed_us'),
  };
}

async function loadOpenLate(query: Query): Promise<OpenLateRange[]> {
  const rows = await query(`SELECT ${LATE_COLUMNS} FROM late_ranges WHERE NOT is_announced ORDER BY id`);
  return rows.map(lateRangeOf);
}

function tagRow(row: Row): TagRow {
  const scanMs = integerOrNull(row, 'scan_ms');
  return {
    id: integerOf(row, 'id'),
    site: textOf(row, 'site'),
    name: textOf(row, 'name'),
    process: textOf(row, 'process'),
    station: textOf(row, 'station'),
    class: TAG_CLASSES.find((each) => each === textOf(row, 'class')) ?? ('measurement' satisfies TagClass),
    type: VALUE_TYPES.find((each) => each === textOf(row, 'type')) ?? ('float64' satisfies ValueType),
    unit: textOf(row, 'unit'),
    formerly: listOf(row, 'former'),
    ...(scanMs === null ? {} : { scanMs }),
  };
}
