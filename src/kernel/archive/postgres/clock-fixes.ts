import type { ArchivedClockFix } from '../../../domain/clock-offsets.ts';
import { CONCLUDED_REASONS } from '../../../domain/gap.ts';
import { STARTED_BY_ANOTHER_CLOCK } from '../../../domain/sample.ts';
import { type SequenceSteps, stepsWithin } from '../../../domain/sequence-steps.ts';
import { integerOf } from '../columns.ts';
import type { MovedStartOfStreams } from '../register-work.ts';
import type { Span } from '../rival-plan.ts';
import { FLAGS_DEVICE_TIMED } from '../sample-flags.ts';
import { ensureMonths } from './append.ts';
import { timeText, timeUs } from './columns.ts';
import { literal } from './connection.ts';
import { SAMPLE_COLUMNS, SAMPLES } from './schema.ts';
import type { PostgresWriter } from './writer.ts';

/** What is known of the stream of a fix. */
export interface FixedStream {
  /** Its small id. */
  readonly stream: number;
  /** What was corrected before. */
  readonly offsets: SequenceSteps;
  /** Where its rows are; not given: it has none. */
  readonly span: Span | undefined;
}

/** By how much rows were moved, at least and at most; integer µs. */
export interface Moved {
  readonly least: number;
  readonly most: number;
}

/** Moves the times of everything that is archived in the range of a fix. Idempotent. */
export async function applyClockFix(
  writer: PostgresWriter,
  fix: ArchivedClockFix,
  { stream, offsets, span }: FixedStream,
): Promise<Moved> {
  const range = { first: fix.firstSequence, last: fix.lastSequence };
  const moved = { least: 0, most: 0 };
  for (const { first, last, value } of stepsWithin(offsets, range)) {
    const byUs = fix.offsetUs - value;
    if (byUs === 0 || span === undefined) continue;
    const reached = { fromUs: span.fromUs + moved.least, toUs: span.toUs + moved.most };
    await moveSamples(writer, { stream, first, last, byUs, span: reached });
    moved.least = Math.min(moved.least, byUs);
    moved.most = Math.max(moved.most, byUs);
  }
  const reasons = [...STARTED_BY_ANOTHER_CLOCK].map(literal).join(', ');
  const by = `$4::bigint * interval '1 microsecond'`;
  const from = `raw_from_time + CASE WHEN reason IN (${reasons}) AND NOT is_one_clock
    THEN interval '0' ELSE ${by} END`;
  await writer.session.query(
    `UPDATE time_gaps SET from_time = ${from}, to_time = greatest(${from}, raw_to_time + ${by})
     WHERE stream = $1 AND sequence BETWEEN $2 AND $3`,
    [stream, range.first, range.last, fix.offsetUs],
  );
  return moved;
}

/** The gaps of earlier streams that ended at a start which a fix moved. */
export async function applyMovedStart(
  { session }: PostgresWriter,
  { beforeUs, afterUs, streams }: MovedStartOfStreams,
): Promise<void> {
  const reasons = [...CONCLUDED_REASONS].map(literal).join(', ');
  await session.query(
    `UPDATE sequence_gaps SET to_time = greatest(from_time, $3)
     WHERE stream = ANY($1) AND to_time = $2 AND reason IN (${reasons})`,
    [streams, timeText(beforeUs), timeText(afterUs)],
  );
}

interface Move {
  readonly stream: number;
  readonly first: number;
  readonly last: number;
  readonly byUs: number;
  readonly span: Span;
}

/** Deleted and inserted again: a row that is changed in place may not leave a chunk of TimescaleDB. */
async function moveSamples(writer: PostgresWriter, { stream, first, last, byUs, span }: Move): Promise<void> {
  const { session } = writer;
  const by = `$6::bigint * interval '1 microsecond'`;
  // A time that a device gave is not the agent's to correct.
  const filter = `stream = $1 AND sequence BETWEEN $2 AND $3 AND source_time BETWEEN $4 AND $5
    AND flags & ${FLAGS_DEVICE_TIMED} = 0`;
  const values = [stream, first, last, timeText(span.fromUs), timeText(span.toUs), byUs];
  const months = await session.query(
    `SELECT DISTINCT ${timeUs(`date_trunc('month', source_time + ${by})`)} AS month_us
     FROM ${SAMPLES} WHERE ${filter}`,
    values,
  );
  await ensureMonths(
    writer,
    months.map((row) => integerOf(row, 'month_us')),
  );
  const shifted = SAMPLE_COLUMNS.map((name) => (name === 'source_time' ? `source_time + ${by}` : name));
  await session.query(
    `WITH moved AS (DELETE FROM ${SAMPLES} WHERE ${filter} RETURNING *)
     INSERT INTO ${SAMPLES} (${SAMPLE_COLUMNS.join(', ')}) SELECT ${shifted.join(', ')} FROM moved`,
    values,
  );
}
