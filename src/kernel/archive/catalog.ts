import {
  type Coverage,
  type CoverageRange,
  type CoverageState,
  EMPTY_COVERAGE,
} from '../../domain/coverage.ts';
import { VALUE_TYPES, type ValueType } from '../../domain/dictionary.ts';
import type { SequenceStep, SequenceSteps } from '../../domain/sequence-steps.ts';
import { type PreviousStream, TAG_CLASSES, type TagClass } from '../../domain/stream.ts';
import { type ChangeLog, changedCoverage, changedStream, changeLogOf, readChanges } from './changes.ts';
import { integerOf, integerOrNull } from './columns.ts';
import { type Database, type Row, textOf } from './duckdb.ts';
import { storedFixOf } from './entry-rows.ts';
import { knownFixes, type StoredFix } from './known-fixes.ts';
import { countLate } from './late.ts';
import { prepareTables, samplesTables } from './migrate.ts';
import { type Register, type StepName, type StreamRow, type TagRow, tagKey } from './register.ts';

/** What the database has in memory besides, see `Register`. */
export interface Catalog extends Register {
  /** What is in `stream_changes` and not yet in `streams` and `coverage`. */
  changes: ChangeLog;
  /** Rows of `late_ranges`. */
  lateRows: number;
  /** Small ids of the streams that have a row in `device_times`. */
  readonly withDeviceTimes: Set<number>;
  /** Where the rows of a stream are, by its small id; at least so far. Only of those that were asked for. */
  readonly rowSpans: Map<number, { readonly fromUs: number; readonly toUs: number }>;
  /** Tables of samples. */
  readonly tables: Set<string>;
}

/** Makes the tables that are not there and reads the small ones. @throws KomError KOM_ARCHIVE_UNAVAILABLE */
export async function loadCatalog(database: Database): Promise<Catalog> {
  await prepareTables(database);
  const dictionaries = await database.read('SELECT id, hash FROM dictionaries ORDER BY id');
  const log = await readChanges(database);
  const changes = Map.groupBy(log, (row) => integerOf(row, 'stream'));
  const streams = (await loadStreams(database)).map((row) => changedStream(row, changes.get(row.id) ?? []));
  const late = await database.read('SELECT DISTINCT stream FROM device_times');
  const tags = (await database.read('SELECT * FROM tags')).map(tagRow);
  return {
    tags: new Map(tags.map((tag) => [tagKey(tag.site, tag.name), tag])),
    tagsById: new Map(tags.map((tag) => [tag.id, tag])),
    dictionaries: new Map(dictionaries.map((row) => [textOf(row, 'hash'), integerOf(row, 'id')])),
    streams: new Map(streams.map((stream) => [stream.streamId, stream])),
    streamsById: new Map(streams.map((stream) => [stream.id, stream])),
    coverage: await loadCoverage(database, streams, changes),
    changes: changeLogOf(log),
    lateRows: await countLate(database),
    clockFixes: knownFixes(await loadClockFixes(database), streams),
    steps: await loadSteps(database, new Map(streams.map(({ id, streamId }) => [id, streamId]))),
    withDeviceTimes: new Set(late.map((row) => integerOf(row, 'stream'))),
    rowSpans: new Map(),
    tables: new Set(await samplesTables(database)),
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
  changes: ReadonlyMap<number, readonly Row[]>,
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
  return new Map(
    streams.map(({ id, streamId }) => [
      streamId,
      changedCoverage(byId.get(id) ?? EMPTY_COVERAGE, changes.get(id) ?? []),
    ]),
  );
}

async function loadClockFixes(database: Database): Promise<StoredFix[]> {
  const rows = await database.read('SELECT * FROM clock_fixes ORDER BY stream, sequence');
  return rows.map(storedFixOf);
}

async function loadSteps(
  database: Database,
  streams: ReadonlyMap<number, string>,
): Promise<Record<StepName, Map<string, SequenceSteps>>> {
  const steps = {
    'clock-offset': new Map<string, SequenceStep[]>(),
    term: new Map<string, SequenceStep[]>(),
  };
  for (const row of await database.read('SELECT * FROM sequence_values ORDER BY stream, first_sequence')) {
    const of = steps[textOf(row, 'name') as StepName];
    const streamId = streams.get(integerOf(row, 'stream')) ?? '';
    const known = of.get(streamId) ?? [];
    const range = { first: integerOf(row, 'first_sequence'), last: integerOf(row, 'last_sequence') };
    of.set(streamId, [...known, { ...range, value: integerOf(row, 'value') }]);
  }
  return steps;
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
    formerly: JSON.parse(textOf(row, 'formerly')) as string[],
    ...(scanMs === null ? {} : { scanMs }),
  };
}
