import { integerOf } from '../columns.ts';
import type { StreamRow } from '../register.ts';
import {
  type ArchivedPiece,
  type ArchivedRow,
  changedFlags,
  comparedRuns,
  hasRows,
  PIECE_US,
  processesOf,
  reachOf,
  type Span,
} from '../rival-plan.ts';
import { timeText, timeUs } from './columns.ts';
import { sampleValueOf, VALUE_COLUMNS } from './row-values.ts';
import { IS_DAMAGED, NOT_MARKED, SAMPLES } from './schema.ts';
import { type PostgresWriter, rowSpanOf } from './writer.ts';

/**
 * Rows that are read and compared at once: each time the database may read more than them, up to the whole
 * month where its rows came just now.
 */
const ROWS_MAX = 20_000;

/** What a transaction did to samples, by small id of the stream. */
export interface Touched {
  /** Where rows were inserted. */
  readonly written: ReadonlyMap<number, Span>;
  /** Streams whose rows a clock fix moved. */
  readonly moved: ReadonlySet<number>;
}

/**
 * Marks rows that another instance of the same process tells better, see `domain/overlap.ts`: those of this
 * transaction and those that were there, in the transaction that brings them together. Where only one
 * instance has rows, which is nearly always, nothing is read.
 */
export async function markRivals(writer: PostgresWriter, { written, moved }: Touched): Promise<void> {
  const touched = new Map(written);
  for (const stream of moved) {
    const span = rowSpanOf(writer, stream);
    if (span !== undefined) touched.set(stream, span);
  }
  for (const { site, process, streams } of processesOf(writer, touched)) {
    const instances = new Set(streams.map(({ instance }) => instance));
    if (instances.size < 2) continue;
    const reachUs = reachOf(writer, site, process);
    for (const stream of streams) {
      const span = touched.get(stream.id);
      if (span === undefined) continue;
      await markAround(writer, { stream, streams, span, reachUs, isMoved: moved.has(stream.id) });
    }
  }
}

interface Surroundings {
  readonly stream: StreamRow;
  readonly streams: readonly StreamRow[];
  readonly span: Span;
  readonly reachUs: number;
  /** Rows were moved there by a clock fix, or away. */
  readonly isMoved: boolean;
}

async function markAround(
  writer: PostgresWriter,
  { stream, streams, span, reachUs, isMoved }: Surroundings,
): Promise<void> {
  const near = wider(span, reachUs);
  const isNear = ({ id }: StreamRow): boolean => touches(rowSpanOf(writer, id), near);
  const rivals = streams.filter((other) => other.instance !== stream.instance && isNear(other));
  if (rivals.length === 0) return;
  // Marks are made anew for a whole piece, so whoever has rows there has a say: a former run of the same
  // instance too.
  const all = streams.filter((each) => hasRows(writer, each));
  const pieces = await readPieces(writer, { streams: all, rivals, span: near, isMoved });
  for (const run of comparedRuns(pieces, ROWS_MAX)) await markRun(writer, { streams: all, run, reachUs });
}

/** The pieces of time in which streams have rows, ascending. */
async function readPieces(
  writer: PostgresWriter,
  {
    streams,
    rivals,
    span,
    isMoved,
  }: Omit<Surroundings, 'stream' | 'reachUs'> & { rivals: readonly StreamRow[] },
): Promise<ArchivedPiece[]> {
  // What was marked beside the former times of rows that were moved is not any more.
  const compared = `stream = ANY ($4::integer[])${isMoved ? ` OR NOT ${NOT_MARKED}` : ''}`;
  const rows = await writer.session.query(
    `SELECT floor(extract(epoch FROM source_time) * 1000000 / ${PIECE_US})::bigint AS piece, count(*) AS rows,
       bool_or(${compared}) AS is_compared FROM ${SAMPLES} r WHERE ${WITHIN} GROUP BY 1 ORDER BY 1`,
    [...within(streams, span), rivals.map(({ id }) => id)],
  );
  return rows.map((row) => ({
    piece: integerOf(row, 'piece'),
    rows: integerOf(row, 'rows'),
    isCompared: row['is_compared'] === 't',
  }));
}

async function markRun(
  writer: PostgresWriter,
  { streams, run, reachUs }: Pick<Surroundings, 'streams' | 'reachUs'> & { readonly run: readonly number[] },
): Promise<void> {
  const [first = 0, last = first] = [run[0], run.at(-1)];
  const span = wider({ fromUs: first * PIECE_US, toUs: (last + 1) * PIECE_US }, reachUs);
  const read = wider(span, reachUs);
  const there = streams.filter(({ id }) => touches(rowSpanOf(writer, id), read));
  // A row that is damaged hides none that is not.
  const rows = await writer.session.query(
    `SELECT tag, ${timeUs('source_time')} AS source_us, flags, quality, stream, sequence, ${VALUE_COLUMNS}
     FROM ${SAMPLES} r WHERE ${WITHIN} AND NOT ${IS_DAMAGED} ORDER BY tag, source_time, stream, sequence`,
    within(there, read),
  );
  const changed = changedFlags(
    writer,
    rows.map(
      (row): ArchivedRow => ({
        ...{ tag: integerOf(row, 'tag'), sourceTimeUs: integerOf(row, 'source_us') },
        ...{ flags: integerOf(row, 'flags'), quality: integerOf(row, 'quality'), value: sampleValueOf(row) },
        ...{ stream: integerOf(row, 'stream'), sequence: integerOf(row, 'sequence') },
      }),
    ),
    span,
  );
  if (changed.length === 0) return;
  await writer.session.query(
    `UPDATE ${SAMPLES} r SET flags = m.flags
     FROM unnest($1::integer[], $2::bigint[], $3::smallint[]) AS m (stream, sequence, flags)
     WHERE r.stream = m.stream AND r.sequence = m.sequence AND r.source_time BETWEEN $4 AND $5`,
    [
      changed.map(({ stream }) => stream),
      changed.map(({ sequence }) => sequence),
      changed.map(({ flags }) => flags),
      ...[timeText(span.fromUs), timeText(span.toUs)],
    ],
  );
}

const WITHIN = 'stream = ANY ($1::integer[]) AND source_time BETWEEN $2 AND $3';

function within(streams: readonly StreamRow[], span: Span): [number[], string, string] {
  return [streams.map(({ id }) => id), timeText(span.fromUs), timeText(span.toUs)];
}

function wider({ fromUs, toUs }: Span, byUs: number): Span {
  return { fromUs: fromUs - byUs, toUs: toUs + byUs };
}

function touches(span: Span | undefined, other: Span): boolean {
  return span !== undefined && span.fromUs <= other.toUs && span.toUs >= other.fromUs;
}
