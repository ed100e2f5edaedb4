import type { TagClass } from './stream.ts';

/** Types of values. */
export const VALUE_TYPES = ['bool', 'int64', 'float64', 'text'] as const;
export type ValueType = (typeof VALUE_TYPES)[number];

/** What a receiver must know about a tag to label its samples. */
export interface DictionaryTag {
  /** Full name, unique per site. */
  readonly name: string;
  readonly station: string;
  readonly class: TagClass;
  readonly type: ValueType;
  /** Engineering unit, empty where there is none. */
  readonly unit: string;
  /** Former full names, newest first, whose history belongs to this tag. */
  readonly formerly: readonly string[];
  /** Scan period of a polled tag; not given: it is subscribed, or an older agent did not say. */
  readonly scanMs?: number;
}

/** The tags of an instance; the index in this list is the tag's index in a block. */
export interface Dictionary {
  readonly site: string;
  readonly process: string;
  readonly tags: readonly DictionaryTag[];
}

/** A dictionary in its one canonical encoding, named by its content. */
export interface EncodedDictionary {
  /** First 128 bits of the SHA-256 of `bytes`, 32 hexadecimal digits. */
  readonly hash: string;
  readonly bytes: Uint8Array;
}

/** Limits on what may come from outside; a dictionary over them is refused. */
export const DICTIONARY_TAGS_MAX = 200_000;
export const DICTIONARY_BYTES_MAX = 32 * 1024 * 1024;
