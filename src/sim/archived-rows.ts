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

export function inStreamOrder(rows: readonly ArchivedRow[], streamOrder: readonly string[]): ArchivedRow[] {
  const ordinals = new Map(streamOrder.map((streamId, ordinal) => [streamId, ordinal]));
  const ordinal = (row: ArchivedRow): number => ordinals.get(row.streamId) ?? -1;
  return [...rows].sort((a, b) => ordinal(a) - ordinal(b) || a.sequence - b.sequence);
}

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

/** Source times must not run backwards along the stream: the simulated devices' clocks do not. */
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
