import { createHash } from 'node:crypto';
import {
  DICTIONARY_BYTES_MAX,
  DICTIONARY_TAGS_MAX,
  type Dictionary,
  type DictionaryTag,
  type EncodedDictionary,
  VALUE_TYPES,
} from './dictionary.ts';
import { KomError } from './errors.ts';
import { TAG_CLASSES } from './stream.ts';

/**
 * The canonical encoding: JSON without white space, keys in the order of the interface, UTF-8. The name is
 * the first 128 bits of its SHA-256.
 */
export function encodeDictionary(dictionary: Dictionary): EncodedDictionary {
  const canonical = {
    site: dictionary.site,
    process: dictionary.process,
    tags: dictionary.tags.map(({ name, station, class: tagClass, type, unit, formerly, scanMs }) => ({
      name,
      station,
      class: tagClass,
      type,
      unit,
      formerly,
      ...(scanMs === undefined ? {} : { scanMs }),
    })),
  };
  const bytes = new Uint8Array(Buffer.from(JSON.stringify(canonical), 'utf8'));
  return { hash: dictionaryHash(bytes), bytes };
}

/** Checks the name and every field. @throws KomError KOM_DICTIONARY_CORRUPT */
export function decodeDictionary(hash: string, bytes: Uint8Array): Dictionary {
  if (bytes.length > DICTIONARY_BYTES_MAX) throw corrupt('it is too large');
  const got = dictionaryHash(bytes);
  if (got !== hash) {
    throw new KomError('KOM_DICTIONARY_CORRUPT', 'its content is not what its name says', {
      expected: hash,
      got,
    });
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw new KomError('KOM_DICTIONARY_CORRUPT', 'it is not JSON', { cause });
  }
  if (!isDictionary(parsed)) throw corrupt('a field is missing or of another type');
  return parsed;
}

/** The bytes are those of the dictionary of this name. */
export function isContentOf(hash: string, bytes: Uint8Array): boolean {
  return dictionaryHash(bytes) === hash;
}

function dictionaryHash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}

function isDictionary(value: unknown): value is Dictionary {
  if (typeof value !== 'object' || value === null) return false;
  const { site, process, tags } = value as Partial<Dictionary>;
  return (
    typeof site === 'string' &&
    typeof process === 'string' &&
    Array.isArray(tags) &&
    tags.length <= DICTIONARY_TAGS_MAX &&
    tags.every(isTag)
  );
}

function isTag(value: unknown): value is DictionaryTag {
  if (typeof value !== 'object' || value === null) return false;
  const tag = value as Partial<DictionaryTag>;
  return (
    typeof tag.name === 'string' &&
    typeof tag.station === 'string' &&
    TAG_CLASSES.some((each) => each === tag.class) &&
    VALUE_TYPES.some((each) => each === tag.type) &&
    typeof tag.unit === 'string' &&
    Array.isArray(tag.formerly) &&
    tag.formerly.every((name) => typeof name === 'string') &&
    (tag.scanMs === undefined || (Number.isFinite(tag.scanMs) && tag.scanMs > 0))
  );
}

function corrupt(what: string): KomError {
  return new KomError('KOM_DICTIONARY_CORRUPT', what);
}
