import type { UsedDictionary } from '../../domain/entry-run.ts';
import type { Register, StreamRow } from './register.ts';

/** Dictionaries whose indexes are kept in memory; the oldest is read again when it is needed. */
const KEPT_MAX = 32;

/** The tag indexes of dictionaries by the tag ids of an archive. */
export class TagIndexes {
  readonly #byDictionary = new Map<number, ReadonlyMap<number, number>>();

  /** Those that blocks of a stream used, the newest first; `read` asks for the tag ids of one. */
  async of(
    register: Register,
    stream: StreamRow,
    read: (dictionary: number) => Promise<Int32Array>,
  ): Promise<UsedDictionary<number>[]> {
    const used: UsedDictionary<number>[] = [];
    for (const [hash, id] of [...register.dictionaries].reverse()) {
      if (!stream.dictionaries.has(id)) continue;
      const indexes = this.#byDictionary.get(id) ?? indexesOf(await read(id));
      this.#keep(id, indexes);
      used.push({ hash, indexOf: (tag) => indexes.get(tag) });
    }
    return used;
  }

  #keep(id: number, indexes: ReadonlyMap<number, number>): void {
    this.#byDictionary.delete(id);
    this.#byDictionary.set(id, indexes);
    const oldest = this.#byDictionary.keys().next();
    if (this.#byDictionary.size > KEPT_MAX && !oldest.done) this.#byDictionary.delete(oldest.value);
  }
}

function indexesOf(tagIds: Int32Array): ReadonlyMap<number, number> {
  return new Map(Array.from(tagIds, (tag, index) => [tag, index]));
}
