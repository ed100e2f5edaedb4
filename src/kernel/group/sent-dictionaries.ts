import { encodeDictionary } from '../../domain/dictionary-codec.ts';
import type { Message } from '../../uplink/messages.ts';
import type { Archive } from '../../world/archive.ts';

/** The dictionaries that a taker has, or that are on their way to it. */
export class SentDictionaries {
  readonly #archive: Pick<Archive, 'dictionary' | 'dictionaries'>;
  readonly #sent = new Set<string>();

  constructor(archive: Pick<Archive, 'dictionary' | 'dictionaries'>) {
    this.#archive = archive;
  }

  /** What a taker says when a connection begins. */
  begin(known: readonly string[]): void {
    this.#sent.clear();
    for (const hash of known) this.#sent.add(hash);
  }

  /** The taker has not got it. */
  lacks(hash: string): void {
    this.#sent.delete(hash);
  }

  /**
   * Gives a dictionary, and before it those that came here before: what a later one says of a tag holds.
   * False: the archive has not got it, or there is no room now.
   */
  async give(hash: string, give: (message: Message) => boolean): Promise<boolean> {
    if (this.#sent.has(hash)) return true;
    const hashes = await this.#archive.dictionaries();
    const needed = hashes.slice(0, hashes.indexOf(hash) + 1).filter((each) => !this.#sent.has(each));
    for (const each of needed) {
      const dictionary = await this.#archive.dictionary(each);
      if (dictionary === undefined) return false;
      const { bytes: content } = encodeDictionary(dictionary);
      if (!give({ type: 'dictionary', hash: each, content })) return false;
      this.#sent.add(each);
    }
    return this.#sent.has(hash);
  }
}
