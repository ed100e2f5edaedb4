import type { Dictionary } from '../domain/dictionary.ts';
import { isKomError } from '../domain/errors.ts';
import type { Archive } from '../world/archive.ts';
import { type Patience, withPatience } from './patience.ts';

/** Tags of all dictionaries that are kept, some 100 MB of memory at worst. */
const TAGS_KEPT_MAX = 500_000;

/**
 * The dictionaries in use, in memory: a live value must not wait until the archive has time to be asked for
 * its name. Bounded by `tagsMax`; what was used longest ago is read again when it is needed.
 */
export class DictionaryShelf {
  readonly #archive: Archive;
  readonly #tagsMax: number;
  /** By hash, in the order of their last use. */
  readonly #kept = new Map<string, Dictionary>();
  /** On their way into the archive; one for each data lane at most. */
  readonly #arriving = new Map<string, Dictionary>();
  #tags = 0;

  constructor(archive: Archive, tagsMax = TAGS_KEPT_MAX) {
    this.#archive = archive;
    this.#tagsMax = tagsMax;
  }

  /** A dictionary that the archive has: blocks may use it. @throws KomError KOM_ARCHIVE_UNAVAILABLE */
  async get(hash: string): Promise<Dictionary | undefined> {
    const found = this.#kept.get(hash) ?? (await this.#archive.dictionary(hash));
    if (found !== undefined) this.#keep(hash, found);
    return found;
  }

  /** Those of these that the archive has. @throws KomError KOM_ARCHIVE_UNAVAILABLE */
  async known(hashes: readonly string[]): Promise<string[]> {
    const found = await Promise.all(hashes.map((hash) => this.get(hash)));
    return hashes.filter((_, at) => found[at] !== undefined);
  }

  /** For values that are not archived: also one that is not durable yet; none if the archive fails. */
  async label(hash: string): Promise<Dictionary | undefined> {
    const found = this.#inMemory(hash) ?? (await this.get(hash).catch(undefinedIfUnavailable));
    // It may have come while the archive was asked.
    return found ?? this.#inMemory(hash);
  }

  /** Stores a dictionary; waits while the archive takes nothing. @throws as `withPatience` */
  async put(
    { hash, content, dictionary }: { hash: string; content: Uint8Array; dictionary: Dictionary },
    patience: Patience,
  ): Promise<void> {
    this.#arriving.set(hash, dictionary);
    try {
      await withPatience(() => this.#archive.putDictionary(hash, content, dictionary), patience);
    } finally {
      this.#arriving.delete(hash);
    }
    this.#keep(hash, dictionary);
  }

  /** The archive may not have them any more. */
  forget(): void {
    this.#kept.clear();
    this.#tags = 0;
  }

  #inMemory(hash: string): Dictionary | undefined {
    return this.#arriving.get(hash) ?? this.#kept.get(hash);
  }

  #keep(hash: string, dictionary: Dictionary): void {
    if (this.#kept.delete(hash)) this.#tags -= dictionary.tags.length;
    this.#kept.set(hash, dictionary);
    this.#tags += dictionary.tags.length;
    for (const [oldest, { tags }] of this.#kept) {
      if (this.#tags <= this.#tagsMax || oldest === hash) break;
      this.#kept.delete(oldest);
      this.#tags -= tags.length;
    }
  }
}

function undefinedIfUnavailable(error: unknown): undefined {
  if (!isKomError(error, 'KOM_ARCHIVE_UNAVAILABLE')) throw error;
}
