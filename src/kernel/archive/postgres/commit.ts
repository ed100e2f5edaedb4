import { type ArchivedClockFix, clockStep } from '../../../domain/clock-offsets.ts';
import { planCommit } from '../../../domain/commit-plan.ts';
import { EMPTY_COVERAGE } from '../../../domain/coverage.ts';
import { arrivedBlocks, type LateRange, lateRangesOf } from '../../../domain/late-range.ts';
import { NO_STEPS, withStep } from '../../../domain/sequence-steps.ts';
import type { ArchiveTransaction } from '../../../world/archive.ts';
import type { Clock } from '../../../world/clock.ts';
import { arrivedClockFixes, arrivedTimeGaps } from '../arrived.ts';
import { applyToRegister, changedSteps, changedStreams, withHoldingFixes } from '../changed.ts';
import { STEP_NAMES, type StreamRow } from '../register.ts';
import { offsetsOf, startMovedBy, streamNumber } from '../register-work.ts';
import type { TagIds } from '../tag-ids.ts';
import { writeSamples } from './append.ts';
import type { PostgresCatalog } from './catalog.ts';
import { applyClockFix, applyMovedStart } from './clock-fixes.ts';
import { timeText } from './columns.ts';
import { writeCoverage } from './coverage.ts';
import type { Column, WritingSession } from './database.ts';
import { writeLate } from './late.ts';
import { deleteRepaired } from './repair.ts';
import { markRivals } from './rivals.ts';
import { type PostgresWriter, rowSpanOf } from './writer.ts';

export interface CommitContext {
  readonly session: WritingSession;
  readonly catalog: PostgresCatalog;
  readonly tagIds: TagIds;
  readonly clock: Clock;
  readonly schema: string;
}

/** Carries out one transaction and then, only then, tells the catalog. Returns what it completed late. */
export async function commitTransaction(
  given: ArchiveTransaction,
  { session, catalog, tagIds, clock, schema }: CommitContext,
): Promise<readonly LateRange[]> {
  const transaction = withHoldingFixes(given, catalog);
  const plan = planCommit((id) => catalog.coverage.get(id) ?? EMPTY_COVERAGE, transaction);
  const streams = changedStreams(transaction, catalog);
  const steps = changedSteps(transaction, catalog);
  const made = { months: new Set<number>(), rowSpans: new Map() };
  const writer: PostgresWriter = { session, catalog, tagIds, transaction, plan, streams, steps, ...made };
  const ranges = lateRangesOf(arrivedBlocks(transaction, plan), transaction.receivedAtUs);
  let late: Pick<PostgresCatalog, 'openLate' | 'lateId'> = catalog;
  await session.transaction(async () => {
    await writeNewStreams(writer);
    const moved = await writeClockFixes(writer);
    await writeSteps(writer);
    await deleteRepaired(writer);
    const written = await writeSamples(writer, clock);
    for (const [stream, span] of written) widen(writer, stream, span);
    await markRivals(writer, { written, moved });
    await writeGaps(writer);
    await writeClockFixEntries(writer);
    await writeCoverage(writer);
    await writeStreams(writer);
    late = await writeLate(writer, { schema, ranges });
  });
  const { clockFixes = [] } = given;
  applyToRegister(catalog, { streams, coverage: plan.coverage, steps, clockFixes });
  for (const month of writer.months) catalog.months.add(month);
  for (const [stream, span] of writer.rowSpans) catalog.rowSpans.set(stream, span);
  catalog.openLate = late.openLate;
  catalog.lateId = late.lateId;
  return ranges;
}

function widen(
  writer: PostgresWriter,
  stream: number,
  span: { readonly fromUs: number; readonly toUs: number },
): void {
  const known = rowSpanOf(writer, stream) ?? span;
  if (known !== span && known.fromUs <= span.fromUs && known.toUs >= span.toUs) return;
  const fromUs = Math.min(known.fromUs, span.fromUs);
  writer.rowSpans.set(stream, { fromUs, toUs: Math.max(known.toUs, span.toUs) });
}

const STREAM_COLUMNS: readonly Column[] = [
  ['id', 'integer'],
  ['stream_id', 'text'],
  ['boot_id', 'text'],
  ['started_time', 'timestamptz'],
  ['previous', 'jsonb'],
  ['site', 'text'],
  ['process', 'text'],
  ['instance', 'integer'],
  ['observed_until', 'timestamptz'],
];

/** Before what names them. What can change of them comes last, see `writeStreams`. */
async function writeNewStreams({ session, streams, catalog }: PostgresWriter): Promise<void> {
  const added: (string | number | null)[][] = [];
  const used: number[][] = [];
  for (const row of streams.values()) {
    const known = catalog.streams.get(row.streamId);
    if (known === undefined) {
      const previous = row.previous === null ? null : JSON.stringify(row.previous);
      added.push([
        ...[row.id, row.streamId, row.bootId, timeText(row.startedAtUs), previous],
        ...[row.site, row.process, row.instance, timeText(row.observedUntilUs)],
      ]);
    }
    for (const dictionary of row.dictionaries) {
      if (known?.dictionaries.has(dictionary) !== true) used.push([row.id, dictionary]);
    }
  }
  await session.insert('streams', STREAM_COLUMNS, added);
  const pair: readonly Column[] = [
    ['stream', 'integer'],
    ['dictionary', 'integer'],
  ];
  await session.insert('stream_dictionaries', pair, used);
}

/** How far streams were observed, how they ended, and where their rows are. */
async function writeStreams(writer: PostgresWriter): Promise<void> {
  const { session, streams, catalog } = writer;
  const changed = new Map<number, StreamRow>();
  for (const row of streams.values()) changed.set(row.id, row);
  for (const stream of writer.rowSpans.keys()) {
    const row = catalog.streamsById.get(stream);
    if (row !== undefined && !changed.has(stream)) changed.set(stream, row);
  }
  if (changed.size === 0) return;
  const rows = [...changed.values()];
  const timeOrNull = (timeUs: number | null | undefined): string | null =>
    timeUs === null || timeUs === undefined ? null : timeText(timeUs);
  const spans = rows.map(({ id }) => rowSpanOf(writer, id));
  await session.query(
    `UPDATE streams s SET observed_until = g.observed_until, ended_time = g.ended_time,
       ended_sequence = g.ended_sequence, rows_from = g.rows_from, rows_to = g.rows_to
     FROM unnest($1::integer[], $2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::timestamptz[],
       $6::timestamptz[]) AS g (id, observed_until, ended_time, ended_sequence, rows_from, rows_to)
     WHERE s.id = g.id`,
    [
      rows.map(({ id }) => id),
      rows.map(({ observedUntilUs }) => timeText(observedUntilUs)),
      rows.map(({ endedAtUs }) => timeOrNull(endedAtUs)),
      rows.map(({ endedSequence }) => endedSequence),
      spans.map((span) => timeOrNull(span?.fromUs)),
      spans.map((span) => timeOrNull(span?.toUs)),
    ],
  );
}

/**
 * What is archived already; the rows of this transaction get their offset as they are written. Returns the
 * small ids of the streams of which rows may have moved.
 */
async function writeClockFixes(writer: PostgresWriter): Promise<ReadonlySet<number>> {
  const moved = new Set<number>();
  const offsets = new Map(writer.catalog.steps['clock-offset']);
  for (const fix of writer.transaction.clockFixes ?? []) {
    const before = offsets.get(fix.streamId) ?? NO_STEPS;
    const stream = streamNumber(writer, fix.streamId);
    await fixOne(writer, fix, { stream, before });
    const start = startMovedBy(writer, fix, before);
    if (start !== null) await applyMovedStart(writer, start);
    moved.add(stream);
    offsets.set(fix.streamId, withStep(before, clockStep(fix)));
  }
  return moved;
}

async function fixOne(
  writer: PostgresWriter,
  fix: ArchivedClockFix,
  { stream, before }: { readonly stream: number; readonly before: typeof NO_STEPS },
): Promise<void> {
  const span = rowSpanOf(writer, stream);
  const byUs = await applyClockFix(writer, fix, { stream, offsets: before, span });
  if (span === undefined) return;
  widen(writer, stream, { fromUs: span.fromUs + byUs.least, toUs: span.toUs + byUs.most });
}

async function writeSteps(writer: PostgresWriter): Promise<void> {
  const { steps, session } = writer;
  const rows: (string | number)[][] = [];
  for (const name of STEP_NAMES) {
    for (const [streamId, changed] of steps[name]) {
      const stream = streamNumber(writer, streamId);
      await session.query('DELETE FROM sequence_values WHERE stream = $1 AND name = $2', [stream, name]);
      for (const { first, last, value } of changed) rows.push([stream, name, first, last, value]);
    }
  }
  const columns: readonly Column[] = [
    ['stream', 'integer'],
    ['name', 'text'],
    ['first_sequence', 'bigint'],
    ['last_sequence', 'bigint'],
    ['value', 'bigint'],
  ];
  await session.insert('sequence_values', columns, rows);
}

/** A list of texts, given as JSON. */
export const asTextList = (parameter: string): string =>
  `ARRAY(SELECT json_array_elements_text(${parameter}::json))`;

const TIME_GAP_COLUMNS: readonly Column[] = [
  ['stream', 'integer'],
  ['sequence', 'bigint'],
  ['received_time', 'timestamptz'],
  ['station', 'text'],
  ['tags', 'text', asTextList],
  ['from_time', 'timestamptz'],
  ['to_time', 'timestamptz'],
  ['reason', 'text'],
  ['count', 'bigint'],
  ['raw_from_time', 'timestamptz'],
  ['raw_to_time', 'timestamptz'],
  ['is_one_clock', 'boolean'],
];

const SEQUENCE_GAP_COLUMNS: readonly Column[] = [
  ['stream', 'integer'],
  ['received_time', 'timestamptz'],
  ['first_sequence', 'bigint'],
  ['last_sequence', 'bigint'],
  ['reason', 'text'],
  ['from_time', 'timestamptz'],
  ['to_time', 'timestamptz'],
  ['count_at_most', 'bigint'],
];

async function writeGaps(writer: PostgresWriter): Promise<void> {
  const { transaction, plan, session } = writer;
  const received = timeText(transaction.receivedAtUs);
  const arrived = arrivedTimeGaps(transaction, plan, (streamId) => offsetsOf(writer, streamId));
  await session.insert(
    'time_gaps',
    TIME_GAP_COLUMNS,
    arrived.map(({ streamId, sequence, gap, raw }) => [
      ...[streamNumber(writer, streamId), sequence, received, gap.station, jsonList(gap.tags)],
      ...[timeText(gap.fromUs), timeText(gap.toUs), gap.reason, gap.count ?? null],
      ...[timeText(raw.fromUs), timeText(raw.toUs), String(raw.isOneClock === true)],
    ]),
  );
  await session.insert(
    'sequence_gaps',
    SEQUENCE_GAP_COLUMNS,
    plan.gaps.map((gap) => [
      ...[streamNumber(writer, gap.streamId), received, gap.firstSequence, gap.lastSequence, gap.reason],
      ...[timeText(gap.fromUs), timeText(gap.toUs), gap.countAtMost],
    ]),
  );
}

const CLOCK_FIX_COLUMNS: readonly Column[] = [
  ['stream', 'integer'],
  ['sequence', 'bigint'],
  ['at_time', 'timestamptz'],
  ['of_stream', 'text'],
  ['first_sequence', 'bigint'],
  ['last_sequence', 'bigint'],
  ['offset_us', 'bigint'],
];

async function writeClockFixEntries(writer: PostgresWriter): Promise<void> {
  const arrived = arrivedClockFixes(writer.transaction, writer.plan);
  const rows = arrived.map(({ streamId, sequence, fix }) => [
    ...[streamNumber(writer, streamId), sequence, timeText(fix.atUs), fix.streamId],
    ...[fix.firstSequence, fix.lastSequence, fix.offsetUs],
  ]);
  await writer.session.insert('clock_fixes', CLOCK_FIX_COLUMNS, rows);
}

/** JSON of texts that are then PostgreSQL's. */
export function jsonList(texts: readonly string[]): string {
  return JSON.stringify(texts.map((text) => text.replaceAll('\u0000', '\ufffd')));
}
