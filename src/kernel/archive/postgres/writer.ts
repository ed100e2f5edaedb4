import { integerOf } from '../columns.ts';
import type { RegisterWork } from '../register-work.ts';
import type { Span } from '../rival-plan.ts';
import type { TagIds } from '../tag-ids.ts';
import type { PostgresCatalog } from './catalog.ts';
import type { WritingSession } from './database.ts';

/** What the parts of one transaction write from. */
export interface PostgresWriter extends RegisterWork {
  readonly catalog: PostgresCatalog;
  readonly session: WritingSession;
  readonly tagIds: TagIds;
  /** Months whose partitions this transaction has made. */
  readonly months: Set<number>;
  /** Where the rows of streams are after it, by small id, as far as it changes that. */
  readonly rowSpans: Map<number, Span>;
}

/** Where the rows of a stream are, with what this transaction has written. */
export function rowSpanOf({ rowSpans, catalog }: PostgresWriter, stream: number): Span | undefined {
  return rowSpans.get(stream) ?? catalog.rowSpans.get(stream);
}

/** Tag ids of a dictionary by tag index. */
export async function readTagIds(session: WritingSession, dictionary: number): Promise<Int32Array> {
  const rows = await session.query(
    'SELECT tag FROM dictionary_tags WHERE dictionary = $1 ORDER BY tag_index',
    [dictionary],
  );
  return Int32Array.from(rows, (row) => integerOf(row, 'tag'));
}
