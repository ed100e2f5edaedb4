import { ENTRY_KIND_MASK } from '../../domain/block/block.ts';
import { integerOf } from './columns.ts';
import type { Cell, Row } from './duckdb.ts';
import type { StreamRow } from './register.ts';
import {
  type ArchivedRow,
  changedFlags,
  EVER,
  hasRows,
  PIECE_US,
  processesOf,
  reachOf,
  type Span,
  touchedSpans,
} from './rival-plan.ts';
import { rowValue } from './row-values.ts';
import { monthOfTable, NOT_MARKED } from './schema.ts';
import type { TransactionWriter } from './transaction-writer.ts';

/**
 * Marks rows that another instance of the same process tells better, see `domain/overlap.ts`: those of this
 * transaction and those that were there, in the transaction that brings them together. Where only one
 * instance has rows, which is nearly always, nothing is read.
 */
export async function markRivals(writer: TransactionWriter): Promise<void> {
  const touched = touchedSpans(writer);
  if (touched.size === 0) return;
  keepUp(writer, touched);
  for (const { site, process, streams } of processesOf(writer, touched)) {
    const instances = new Set(streams.map(({ instance }) => instance));
    if (instances.size < 2) continue;
    const reachUs = reachOf(writer, site, process);
    for (const stream of streams) {
      for (const span of touched.get(stream.id) ?? []) {
        await markAround(writer, { stream, streams, span, reachUs, isMoved: span === EVER });
      }
    }
  }
}

interface Surroundings {
  readonly stream: StreamRow;
  readonly streams: readonly StreamRow[];
  readonly span: Span;
  readonly reachUs: number;
  /** Rows were moved there by a clock fix, not inserted. */
  readonly isMoved: boolean;
}

async function markAround(writer: TransactionWriter, around: Surroundings): Promise<void> {
  const { stream, streams, span, reachUs, isMoved } = around;
  const near = { fromUs: span.fromUs - reachUs, toUs: span.toUs + reachUs };
  const rivals: StreamRow[] = [];
  for (const other of streams) {
    if (other.instance === stream.instance || !hasRows(writer, other)) continue;
    const whole = await wholeSpan(writer, other.id);
    if (whole !== null && whole.fromUs <= near.toUs && whole.toUs >= near.fromUs) rivals.push(other);
  }
  if (rivals.length === 0) return;
  const own = await rowSpan(writer, [stream.id], span);
  if (own === null) return;
  const reached = { fromUs: own.fromUs - reachUs, toUs: own.toUs + reachUs };
  // Marks are made anew for a whole piece, so whoever has rows there has a say: a former run of the same
  // instance too.
  const all = streams.filter((each) => hasRows(writer, each));
  const pieces = new Set(await piecesWith(writer, { streams: rivals, span: reached, filter: 'true' }));
  if (isMoved) {
    // What was marked beside the former times of the rows is not any more.
    const marked = { streams: all, span: EVER, filter: `NOT ${NOT_MARKED}` };
    for (const piece of await piecesWith(writer, marked)) pieces.add(piece);
  }
  for (const piece of pieces) {
    const fromUs = piece * PIECE_US - reachUs;
    await markPiece(writer, {
      streams: all,
      span: { fromUs, toUs: fromUs + PIECE_US + 2 * reachUs },
      reachUs,
    });
  }
}

/** Numbers of the pieces of time in which streams have rows. */
async function piecesWith(
  writer: TransactionWriter,
  {
    streams,
    span,
    filter,
  }: Omit<Surroundings, 'stream' | 'reachUs' | 'isMoved'> & { readonly filter: string },
): Promise<number[]> {
  const found: number[] = [];
  const ids = streams.map(({ id }) => id);
  for (const table of tablesOf(writer, span)) {
    const rows = await writer.database.readWritten(
      `SELECT DISTINCT source_us // ${PIECE_US} AS piece FROM ${table}
       WHERE ${within(ids, span)} AND ${filter}`,
    );
    found.push(...rows.map((row) => integerOf(row, 'piece')));
  }
  return found;
}

/** Of all rows of a stream; read once, and kept up as rows come. */
async function wholeSpan(writer: TransactionWriter, stream: number): Promise<Span | null> {
  const { rowSpans } = writer.catalog;
  const known = rowSpans.get(stream);
  if (known !== undefined) return known;
  const span = await rowSpan(writer, [stream], EVER);
  if (span !== null) rowSpans.set(stream, span);
  return span;
}

/** Rows came, or moved: what is known of where the rows of their streams are. */
function keepUp({ catalog }: TransactionWriter, touched: ReadonlyMap<number, readonly Span[]>): void {
  for (const [stream, spans] of touched) {
    const known = catalog.rowSpans.get(stream);
    if (known === undefined) continue;
    const fromUs = Math.min(known.fromUs, ...spans.map((span) => span.fromUs));
    const toUs = Math.max(known.toUs, ...spans.map((span) => span.toUs));
    if (Number.isFinite(fromUs)) catalog.rowSpans.set(stream, { fromUs, toUs });
    else catalog.rowSpans.delete(stream);
  }
}

/** First and last time at which streams have a row within a span; `null`: they have none there. */
async function rowSpan(writer: TransactionWriter, ids: readonly number[], span: Span): Promise<Span | null> {
  const times: number[] = [];
  for (const table of tablesOf(writer, span)) {
    const [row] = await writer.database.readWritten(
      `SELECT min(source_us) AS first, max(source_us) AS last FROM ${table}
       WHERE ${within(ids, span)}`,
    );
    if (row !== undefined && row['first'] !== null)
      times.push(integerOf(row, 'first'), integerOf(row, 'last'));
  }
  return times.length === 0 ? null : { fromUs: Math.min(...times), toUs: Math.max(...times) };
}

async function markPiece(
  writer: TransactionWriter,
  { streams, span, reachUs }: Omit<Surroundings, 'stream' | 'isMoved'>,
): Promise<void> {
  const { database } = writer;
  const read = { fromUs: span.fromUs - reachUs, toUs: span.toUs + reachUs };
  const ids: number[] = [];
  for (const { id } of streams) {
    const whole = await wholeSpan(writer, id);
    if (whole !== null && whole.fromUs <= read.toUs && whole.toUs >= read.fromUs) ids.push(id);
  }
  const rows: Row[] = [];
  for (const table of tablesOf(writer, read)) {
    const found = await database.readWritten(
      `SELECT tag, source_us, flags, value, text, quality, stream, sequence FROM ${table}
       WHERE ${within(ids, read)} ORDER BY tag, source_us, stream, sequence`,
    );
    for (const row of found) rows.push(row);
  }
  const changed = changedFlags(
    writer,
    rows.map((row): ArchivedRow => {
      const flags = integerOf(row, 'flags');
      return {
        ...{ tag: integerOf(row, 'tag'), sourceTimeUs: integerOf(row, 'source_us'), flags },
        ...{ stream: integerOf(row, 'stream'), sequence: integerOf(row, 'sequence') },
        ...{ value: rowValue(row, flags & ENTRY_KIND_MASK), quality: integerOf(row, 'quality') },
      };
    }),
    span,
  );
  const cells = changed.map(({ stream, sequence, flags }): Cell[] => [stream, BigInt(sequence), flags]);
  await writeFlags(writer, { changed: cells, span });
}

async function writeFlags(
  writer: TransactionWriter,
  { changed, span }: { readonly changed: readonly Cell[][]; readonly span: Span },
): Promise<void> {
  if (changed.length === 0) return;
  const { database } = writer;
  await database.write(
    'CREATE OR REPLACE TEMP TABLE marked (stream INTEGER, sequence BIGINT, flags INTEGER)',
  );
  await database.insert('marked', changed);
  for (const table of tablesOf(writer, span)) {
    await database.write(
      `UPDATE ${table} SET flags = m.flags::USMALLINT FROM temp.marked m
       WHERE ${table}.stream = m.stream AND ${table}.sequence = m.sequence
         AND source_us BETWEEN ${bound(span.fromUs)} AND ${bound(span.toUs)}`,
    );
  }
  await database.write('DROP TABLE temp.marked');
}

function tablesOf({ tables }: TransactionWriter, { fromUs, toUs }: Span): string[] {
  return [...tables].filter((table) => {
    const month = monthOfTable(table);
    return month !== undefined && month.fromUs <= toUs && month.toUs > fromUs;
  });
}

function within(ids: readonly number[], { fromUs, toUs }: Span): string {
  return `stream IN (${ids.join(', ')}) AND source_us BETWEEN ${bound(fromUs)} AND ${bound(toUs)}`;
}

/** A time as a literal; what lies beyond every time that a row can have, at its end. */
function bound(timeUs: number): string {
  return String(Math.max(-(2 ** 53), Math.min(2 ** 53, timeUs)));
}
