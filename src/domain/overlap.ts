import { Mark } from './marks.ts';
import { isGood } from './quality.ts';
import { type SampleValue, sameValue } from './sample.ts';

/**
 * Rows of the archive that tell what another instance tells better: when two instances of a process
 * observe at the same time, because they cannot hear each other or because one supplies what the other may
 * have missed. Nothing is dropped for that: such rows are marked, kept, and hidden from the default view.
 *
 * - A tag that is polled: a row of a lower term is an `overlap` where a higher term has a good row of the
 *   tag within two scan periods.
 * - A tag that is subscribed: of rows equal in source time, value and quality all but that of the highest
 *   term are a `duplicate`.
 *
 * Inside one instance nothing is ever marked, however equal two rows are. Of equal terms (a Kernel or an
 * agent that knows none) the lower instance counts as the higher one. The marks follow from the rows
 * alone, so the order in which they arrive does not matter.
 */

/** What a row has to say about that. */
export interface RivalRow {
  readonly sourceTimeUs: number;
  readonly instance: number;
  readonly term: number;
  readonly value: SampleValue;
  readonly quality: number;
}

/** How far apart two rows of a polled tag may be to tell of one moment, in scan periods. */
const SCANS = 2;

/** Bits of marks that this gives; all others are not touched. */
export const OVERLAP_MARKS = Mark.overlap | Mark.duplicate;

/** How far from a row, either way, one may lie that matters to it, integer µs; 0: only at the same time. */
export function rivalReachUs(scanMs: number | undefined): number {
  return scanMs === undefined ? 0 : SCANS * Math.round(scanMs * 1000);
}

/**
 * The marks of rows of one tag, which are ascending in source time. `scanMs`: not given, it is subscribed.
 */
export function overlapMarks(rows: readonly RivalRow[], scanMs: number | undefined): number[] {
  const instances = new Set(rows.map(({ instance }) => instance));
  if (instances.size < 2) return rows.map(() => 0);
  const reachUs = rivalReachUs(scanMs);
  const isWorse = scanMs === undefined ? isDuplicateOf : isOverlappedBy;
  const mark = scanMs === undefined ? Mark.duplicate : Mark.overlap;
  let from = 0;
  return rows.map((row) => {
    while ((rows[from] as RivalRow).sourceTimeUs < row.sourceTimeUs - reachUs) from++;
    for (let at = from; at < rows.length; at++) {
      const other = rows[at] as RivalRow;
      if (other.sourceTimeUs > row.sourceTimeUs + reachUs) return 0;
      if (isAbove(other, row) && isWorse(row, other)) return mark;
    }
    return 0;
  });
}

function isAbove(other: RivalRow, row: RivalRow): boolean {
  if (other.instance === row.instance) return false;
  return other.term > row.term || (other.term === row.term && other.instance < row.instance);
}

function isOverlappedBy(_row: RivalRow, other: RivalRow): boolean {
  return isGood(other.quality);
}

function isDuplicateOf(row: RivalRow, other: RivalRow): boolean {
  return other.quality === row.quality && sameValue(other.value, row.value);
}
