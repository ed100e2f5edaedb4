import { isUsable } from '../domain/quality.ts';
import { type SampleValue, sameValue } from '../domain/sample.ts';

/** A row of the archive as the proof needs it. */
export interface ArchivedRow {
  readonly tag: string;
  readonly streamId: string;
  readonly sequence: number;
  readonly sourceTimeUs: number;
  readonly value: SampleValue;
  readonly quality: number;
  readonly cause: string;
}

/** An interval of a tag that the archive declares as not observed or as lost. */
export interface DeclaredGap {
  readonly fromUs: number;
  readonly toUs: number;
}

/**
 * The rows of each stream in the order of its numbers, and those of several streams by time: two instances
 * that take turns go on with streams that they had begun before.
 */
export function inStreamOrder(rows: readonly ArchivedRow[]): ArchivedRow[] {
  const streams = [...Map.groupBy(rows, ({ streamId }) => streamId).values()]
    .map((own) => own.toSorted((a, b) => a.sequence - b.sequence))
    .toSorted((a, b) => timeAt(a, 0) - timeAt(b, 0));
  const next = streams.map(() => 0);
  const ordered: ArchivedRow[] = [];
  while (ordered.length < rows.length) {
    let first = 0;
    for (let at = 1; at < streams.length; at++) {
      if (timeAt(streams[at], next[at]) < timeAt(streams[first], next[first])) first = at;
    }
    const row = streams[first]?.[next[first] ?? 0];
    if (row === undefined) throw new Error('a stream has ended before its rows');
    ordered.push(row);
    next[first] = (next[first] ?? 0) + 1;
  }
  return ordered;
}

/** After its end a stream is later than every other. */
const timeAt = (rows: readonly ArchivedRow[] | undefined, at: number | undefined): number =>
  rows?.[at ?? 0]?.sourceTimeUs ?? Number.POSITIVE_INFINITY;

/** Usable values, each once for as long as no other comes between, in the archive or in what it lost. */
export function archivedRuns(rows: readonly ArchivedRow[], gaps: readonly DeclaredGap[]): ArchivedRow[] {
  const runs: ArchivedRow[] = [];
  let before: ArchivedRow | undefined;
  for (const row of rows) {
    if (!isUsable(row.quality) || row.value === null) continue;
    const last = runs.at(-1);
    if (last === undefined || !sameValue(last.value, row.value) || isChangeBack(before, row, gaps)) {
      runs.push(row);
    }
    before = row;
  }
  return runs;
}

/** A change to what was there already: what came between is lost, as a gap declares. */
function isChangeBack(
  before: ArchivedRow | undefined,
  row: ArchivedRow,
  gaps: readonly DeclaredGap[],
): boolean {
  if (before === undefined || row.cause !== 'change') return false;
  return gaps.some((gap) => gap.fromUs <= row.sourceTimeUs && before.sourceTimeUs <= gap.toUs);
}

/** The same number twice, or a "change" to what was there already. */
export function countRepeated(
  rows: readonly ArchivedRow[],
  gaps: readonly DeclaredGap[],
  find: (text: string) => void,
): number {
  let count = 0;
  for (const [at, row] of rows.entries()) {
    const before = rows[at - 1];
    if (before === undefined) continue;
    const sameNumber = before.streamId === row.streamId && before.sequence === row.sequence;
    const noChange =
      row.cause === 'change' && before.quality === row.quality && sameValue(before.value, row.value);
    if (!sameNumber && (!noChange || isChangeBack(before, row, gaps))) continue;
    count++;
    find(`sequence ${row.sequence} repeats ${String(row.value)}`);
  }
  return count;
}

/** Source times must not run backwards along a stream: the simulated devices' clocks do not. */
export function countDisorder(rows: readonly ArchivedRow[], find: (text: string) => void): number {
  let count = 0;
  let latestUs = 0;
  for (const row of rows) {
    if (row.sourceTimeUs < latestUs) {
      count++;
      find(`sequence ${row.sequence} is ${latestUs - row.sourceTimeUs} µs older than the one before it`);
    }
    latestUs = Math.max(latestUs, row.sourceTimeUs);
  }
  return count;
}
