import { OVERLAP_MARKS, overlapMarks, rivalReachUs } from '../../domain/overlap.ts';
import type { SampleRow } from './archive-rows.ts';

/** Whose a stream is. */
interface Origin {
  readonly site: string;
  readonly process: string;
  readonly instance: number;
}

/** What the rows alone do not tell. */
export interface Surroundings {
  readonly streams: ReadonlyMap<string, Origin>;
  readonly scanMsOf: (row: SampleRow) => number | undefined;
  readonly compare: (a: SampleRow, b: SampleRow) => number;
}

/** Streams of processes of which there are several instances: of no other one anything is ever marked. */
export function rivalled(streams: Surroundings['streams']): ReadonlySet<string> {
  const byProcess = Map.groupBy(streams, ([, { site, process }]) => `${site}\n${process}`);
  const several = [...byProcess.values()].filter(
    (each) => new Set(each.map(([, { instance }]) => instance)).size > 1,
  );
  return new Set(several.flat().map(([streamId]) => streamId));
}

/**
 * Rows of one tag with the marks of what another instance tells better. `touched`: those that came, around
 * which marks may have changed; `null`: they may have everywhere.
 */
export function withRivalMarks(
  rows: SampleRow[],
  touched: readonly SampleRow[] | null,
  { streams, scanMsOf, compare }: Surroundings,
): SampleRow[] {
  const [first] = rows;
  if (first === undefined) return rows;
  const scanMs = scanMsOf(first);
  const reachUs = rivalReachUs(scanMs);
  const times = touched?.map((row) => row.sourceTimeUs) ?? [];
  const fromUs = touched === null ? Number.NEGATIVE_INFINITY : Math.min(...times) - reachUs;
  const toUs = touched === null ? Number.POSITIVE_INFINITY : Math.max(...times) + reachUs;
  const isNear = ({ sourceTimeUs }: SampleRow, marginUs: number): boolean =>
    sourceTimeUs >= fromUs - marginUs && sourceTimeUs <= toUs + marginUs;
  // What may be marked anew, and beyond that what has a say in it.
  const near = rows.filter((row) => isNear(row, reachUs)).sort(compare);
  const rivals = near.map((row) => ({ ...row, instance: streams.get(row.streamId)?.instance ?? 0 }));
  const marks = overlapMarks(rivals, scanMs);
  const marked = new Map<SampleRow, number>();
  for (const [at, row] of near.entries()) {
    const wanted = (row.marks & ~OVERLAP_MARKS) | (marks[at] ?? 0);
    if (isNear(row, 0) && wanted !== row.marks) marked.set(row, wanted);
  }
  if (marked.size === 0) return rows;
  return rows.map((row) => {
    const marks = marked.get(row);
    return marks === undefined ? row : { ...row, marks };
  });
}
