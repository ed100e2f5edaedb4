import { countOf, EMPTY_COVERAGE } from '../../domain/coverage.ts';
import { OVERLAP_MARKS, overlapMarks, type RivalRow, rivalReachUs } from '../../domain/overlap.ts';
import type { SampleValue } from '../../domain/sample.ts';
import { NO_STEPS, stepAt, stepsWithin } from '../../domain/sequence-steps.ts';
import type { StreamRow } from './register.ts';
import { offsetsOf, type RegisterWork, streamNumber } from './register-work.ts';
import { FLAGS_MARKS_SHIFT } from './sample-flags.ts';

/** Rows are compared in pieces of time, and only in those in which both sides have some. µs */
export const PIECE_US = 60_000_000;

/** First and last source time of rows, integer µs. */
export interface Span {
  readonly fromUs: number;
  readonly toUs: number;
}

/** Every time. */
export const EVER: Span = { fromUs: Number.NEGATIVE_INFINITY, toUs: Number.POSITIVE_INFINITY };

/** Streams of one process of a site. */
interface ProcessStreams {
  readonly site: string;
  readonly process: string;
  readonly streams: readonly StreamRow[];
}

/** Where rows were inserted or moved, by small id of the stream; in corrected time. */
export function touchedSpans(work: RegisterWork): Map<number, Span[]> {
  const { transaction, plan } = work;
  const spans = new Map<number, Span[]>();
  const add = (streamId: string, span: Span): void => {
    const stream = streamNumber(work, streamId);
    spans.set(stream, [...(spans.get(stream) ?? []), span]);
  };
  for (const [index, { block }] of transaction.blocks.entries()) {
    if (countOf(plan.inserts[index] ?? []) === 0) continue;
    const { streamId, fromUs, toUs, firstSequence, count } = block.header;
    const range = { first: firstSequence, last: firstSequence + count - 1 };
    const byUs = stepsWithin(offsetsOf(work, streamId), range).map(({ value }) => value);
    add(streamId, { fromUs: fromUs + Math.min(0, ...byUs), toUs: toUs + Math.max(0, ...byUs) });
  }
  for (const { streamId } of transaction.clockFixes ?? []) {
    add(streamId, EVER);
  }
  return spans;
}

/** Of those processes only that something was touched of: every commit comes here. */
export function processesOf(
  { streams, catalog }: RegisterWork,
  touched: ReadonlyMap<number, unknown>,
): ProcessStreams[] {
  const all = [...new Map([...catalog.streams, ...streams]).values()];
  return [...Map.groupBy(all, ({ site, process }) => `${site}\n${process}`).values()].flatMap((own) => {
    const [first] = own;
    if (first === undefined || !own.some(({ id }) => touched.has(id))) return [];
    return [{ site: first.site, process: first.process, streams: own }];
  });
}

/** The farthest that one row of the process can matter to another. */
export function reachOf({ catalog }: RegisterWork, site: string, process: string): number {
  const tags = [...catalog.tags.values()].filter((tag) => tag.site === site && tag.process === process);
  return tags.reduce((most, { scanMs }) => Math.max(most, rivalReachUs(scanMs)), 0);
}

/** Whether samples of a stream are archived. */
export function hasRows({ plan, catalog }: RegisterWork, { streamId }: StreamRow): boolean {
  const coverage = plan.coverage.get(streamId) ?? catalog.coverage.get(streamId) ?? EMPTY_COVERAGE;
  return coverage.some(({ state }) => state === 'data');
}

/** A piece of time with rows: its number from 1970 on. */
export interface ArchivedPiece {
  readonly piece: number;
  readonly rows: number;
  /** Its rows are to be compared. */
  readonly isCompared: boolean;
}

/**
 * Pieces that are compared together, each run with so many rows from its first to its last piece at most, or
 * of one piece. `pieces`: all that have rows, ascending.
 */
export function comparedRuns(pieces: readonly ArchivedPiece[], rowsMax: number): number[][] {
  const runs: number[][] = [];
  let rows = 0;
  for (const { piece, rows: own, isCompared } of pieces) {
    rows += own;
    if (!isCompared) continue;
    const run = runs.at(-1);
    if (run !== undefined && rows <= rowsMax) run.push(piece);
    else {
      runs.push([piece]);
      rows = own;
    }
  }
  return runs;
}

/** What of an archived row matters to the rows of another instance. */
export interface ArchivedRow {
  readonly tag: number;
  readonly sourceTimeUs: number;
  readonly flags: number;
  readonly value: SampleValue;
  readonly quality: number;
  readonly stream: number;
  readonly sequence: number;
}

/**
 * The rows within a span that are to have other flags. `rows`: all that can matter to them, those of one tag
 * in the order of their source times.
 */
export function changedFlags(work: RegisterWork, rows: readonly ArchivedRow[], span: Span): ArchivedRow[] {
  const changed: ArchivedRow[] = [];
  for (const [tag, ofTag] of Map.groupBy(rows, (row) => row.tag)) {
    const marks = overlapMarks(
      ofTag.map((row) => rivalOf(work, row)),
      work.catalog.tagsById.get(tag)?.scanMs,
    );
    for (const [at, row] of ofTag.entries()) {
      // Of what lies farther out not all that matters was read.
      if (row.sourceTimeUs < span.fromUs || row.sourceTimeUs > span.toUs) continue;
      const others = row.flags & ~(OVERLAP_MARKS << FLAGS_MARKS_SHIFT);
      const flags = others | ((marks[at] ?? 0) << FLAGS_MARKS_SHIFT);
      if (flags !== row.flags) changed.push({ ...row, flags });
    }
  }
  return changed;
}

function rivalOf({ catalog, streams, steps }: RegisterWork, row: ArchivedRow): RivalRow {
  const { sourceTimeUs, value, quality } = row;
  const known = catalog.streamsById.get(row.stream);
  const stream = known ?? [...streams.values()].find((each) => each.id === row.stream);
  const streamId = stream?.streamId ?? '';
  const terms = steps.term.get(streamId) ?? catalog.steps.term.get(streamId) ?? NO_STEPS;
  const term = stepAt(terms, row.sequence);
  return { sourceTimeUs, instance: stream?.instance ?? 0, term, value, quality };
}
