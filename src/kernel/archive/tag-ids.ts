/** Tag ids of this many dictionaries are kept in memory; the oldest is read again when it is needed. */
const TAG_IDS_KEPT = 32;

/** Tag ids of an archive by tag index, for the dictionaries in use. Bounded by `TAG_IDS_KEPT`. */
export class TagIds {
  readonly #byDictionary = new Map<number, Int32Array>();

  /** Tag ids of a dictionary that the database has; `read` asks it for them. */
  async of(dictionary: number, read: () => Promise<Int32Array>): Promise<Int32Array> {
    const known = this.#byDictionary.get(dictionary);
    if (known !== undefined) return known;
    const ids = await read();
    const oldest = this.#byDictionary.keys().next();
    if (this.#byDictionary.size >= TAG_IDS_KEPT && !oldest.done) this.#byDictionary.delete(oldest.value);
    this.#byDictionary.set(dictionary, ids);
    return ids;
  }
}
