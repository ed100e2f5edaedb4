import { decodeDictionary } from '../domain/dictionary-codec.ts';

/** So many are kept; a configuration change makes one more for each store. */
const DICTIONARIES_MAX = 16;

/** Dictionaries of mirrored blocks in memory, the ones used last. */
export class MirrorDictionaries {
  readonly #known = new Map<string, { readonly bytes: Uint8Array; readonly isOfAlarms: boolean }>();

  has(hash: string): boolean {
    return this.#known.has(hash);
  }

  /** @throws KomError KOM_DICTIONARY_CORRUPT */
  put(hash: string, bytes: Uint8Array): void {
    const { tags } = decodeDictionary(hash, bytes);
    const isOfAlarms = tags.length > 0 && tags.every((tag) => tag.class === 'alarm');
    this.#known.delete(hash);
    this.#known.set(hash, { bytes, isOfAlarms });
    const oldest = this.#known.keys().next();
    if (this.#known.size > DICTIONARIES_MAX && !oldest.done) this.#known.delete(oldest.value);
  }

  bytesOf(hash: string): Uint8Array | undefined {
    return this.#known.get(hash)?.bytes;
  }

  /** All its tags are alarms. */
  isOfAlarms(hash: string): boolean {
    return this.#known.get(hash)?.isOfAlarms ?? false;
  }
}
