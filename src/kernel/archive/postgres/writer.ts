import type { RegisterWork } from '../register-work.ts';
import type { Span } from '../rival-plan.ts';
import type { PostgresCatalog } from './catalog.ts';
import { integerOf } from './columns.ts';
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

/** Tag ids of this many dictionaries are kept in memory; the oldest is read again when it is needed. */
const TAG_IDS_KEPT = 32;

/** Tag ids of the archive by tag index, for the dictionaries in use. Bounded by `TAG_IDS_KEPT`. */
export class TagIds {
  readonly #byDictionary = new Map<number, Int32Array>();

  /** Tag ids of a dictionary that the database has. */
  async of(session: WritingSession, dictionary: number): Promise<Int32Array> {
    const known = this.#byDictionary.get(dictionary);
    if (known !== undefined) return known;
    const rows = await session.query(
      'SELECT tag FROM dictionary_tags WHERE dictionary = $1 ORDER BY tag_index',
      [dictionary],
    );
    const ids = Int32Array.from(rows, (row) => integerOf(row, 'tag'));
    const oldest = this.#byDictionary.keys().next();
    if (this.#byDictionary.size >= TAG_IDS_KEPT && !oldest.done) this.#byDictionary.delete(oldest.value);
    this.#byDictionary.set(dictionary, ids);
    return ids;
  }
}
