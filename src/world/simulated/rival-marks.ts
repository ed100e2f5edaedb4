import { OVERLAP_MARKS, overlapMarks } from '../../domain/overlap.ts';
import type { SampleRow } from './archive-rows.ts';

/** What the rows alone do not tell. */
interface Surroundings {
  readonly instanceOf: (streamId: string) => number;
  readonly scanMsOf: (row: SampleRow) => number | undefined;
  readonly compare: (a: SampleRow, b: SampleRow) => number;
}

/** The rows with the marks of what another instance tells better; looks at the tags of `touched` only. */
export function withRivalMarks(
  rows: readonly SampleRow[],
  touched: readonly SampleRow[],
  { instanceOf, scanMsOf, compare }: Surroundings,
): SampleRow[] {
  const keys = new Set(touched.map(keyOf));
  const marked = new Map<SampleRow, number>();
  for (const ofTag of Map.groupBy(rows, keyOf).values()) {
    const [first] = ofTag;
    if (first === undefined || !keys.has(keyOf(first))) continue;
    const ordered = ofTag.toSorted(compare);
    const rivals = ordered.map((row) => ({ ...row, instance: instanceOf(row.streamId) }));
    const marks = overlapMarks(rivals, scanMsOf(first));
    for (const [at, row] of ordered.entries()) {
      const wanted = (row.marks & ~OVERLAP_MARKS) | (marks[at] ?? 0);
      if (wanted !== row.marks) marked.set(row, wanted);
    }
  }
  return rows.map((row) => {
    const marks = marked.get(row);
    return marks === undefined ? row : { ...row, marks };
  });
}

function keyOf({ site, tag }: SampleRow): string {
  return `${site}\n${tag}`;
}
