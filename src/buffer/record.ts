/** Bytes of the ring's databases; README.md has the layout. */

import { type Block, BlockCodec } from '../domain/block/block.ts';
import { readBlock } from '../domain/block/codec.ts';
import { compress, decompress } from '../domain/block/compression.ts';
import { crc32c } from '../domain/crc32c.ts';
import { DICTIONARY_BYTES_MAX } from '../domain/dictionary.ts';
import { KomError } from '../domain/errors.ts';

const RECORD_BLOCK = 1;
const RECORD_DICTIONARY = 2;
const RECORD_DICTIONARY_ZSTD = 3;
const CLASS_ALL = 0;
const RECORD_PREFIX_BYTES = 2;
const POSITION_BYTES = 8;
const DICTIONARY_KEY_PREFIX = 0xff;
const DICTIONARY_HASH_BYTES = 16;
/** Before a compressed dictionary: how long the plain one is. */
const DICTIONARY_LENGTH_BYTES = 4;

/** What a block takes in a segment beside its own bytes: key, prefix, and LevelDB's framing. */
export const RECORD_OVERHEAD_BYTES = 40;

/** Sorts as the positions do, and before every dictionary. */
export function positionKey(position: number): Uint8Array {
  const key = new Uint8Array(POSITION_BYTES);
  new DataView(key.buffer).setBigUint64(0, BigInt(position));
  return key;
}

/** Position of a block's key; `undefined` for another key. */
export function positionOf(key: Uint8Array): number | undefined {
  if (key.length !== POSITION_BYTES) return undefined;
  return Number(new DataView(key.buffer, key.byteOffset, key.byteLength).getBigUint64(0));
}

export function dictionaryKey(hash: string): Uint8Array {
  return Uint8Array.from([DICTIONARY_KEY_PREFIX, ...Buffer.from(hash, 'hex')]);
}

/** Hash of a dictionary's key; `undefined` for another key. */
export function dictionaryHashOf(key: Uint8Array): string | undefined {
  if (key[0] !== DICTIONARY_KEY_PREFIX || key.length !== 1 + DICTIONARY_HASH_BYTES) return undefined;
  return Buffer.from(key.subarray(1)).toString('hex');
}

export function encodeBlockRecord(block: Block): Uint8Array {
  return withPrefix(RECORD_BLOCK, block.bytes);
}

/** Compressed, as the names of tags are much alike. */
export function encodeDictionaryRecord(bytes: Uint8Array): Uint8Array {
  const { codec, bytes: compressed } = compress(bytes);
  if (codec === BlockCodec.plain) return withPrefix(RECORD_DICTIONARY, bytes);
  const value = new Uint8Array(DICTIONARY_LENGTH_BYTES + compressed.length);
  new DataView(value.buffer).setUint32(0, bytes.length, true);
  value.set(compressed, DICTIONARY_LENGTH_BYTES);
  return withPrefix(RECORD_DICTIONARY_ZSTD, value);
}

/** The block of a record; `undefined` where the record or the block does not pass its checks. */
export function decodeBlockRecord(value: Uint8Array): Block | undefined {
  if (value[0] !== RECORD_BLOCK || value[1] !== CLASS_ALL) return undefined;
  try {
    return readBlock(value.subarray(RECORD_PREFIX_BYTES));
  } catch (error) {
    if (error instanceof KomError) return undefined;
    throw error;
  }
}

/** The bytes of a dictionary, `undefined` where there are none; its hash is for the reader to check. */
export function decodeDictionaryRecord(value: Uint8Array): Uint8Array | undefined {
  const bytes = value.subarray(RECORD_PREFIX_BYTES);
  if (value[0] === RECORD_DICTIONARY) return bytes;
  if (value[0] !== RECORD_DICTIONARY_ZSTD || bytes.length < DICTIONARY_LENGTH_BYTES) return undefined;
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
  if (length > DICTIONARY_BYTES_MAX) return undefined;
  try {
    return decompress(BlockCodec.zstd, bytes.subarray(DICTIONARY_LENGTH_BYTES), length);
  } catch (error) {
    if (error instanceof KomError) return undefined;
    throw error;
  }
}

/** A value of the meta database: CRC32C and JSON text. */
export function encodeMetaValue(value: unknown): Uint8Array {
  const text = Buffer.from(JSON.stringify(value), 'utf8');
  const bytes = new Uint8Array(4 + text.length);
  new DataView(bytes.buffer).setUint32(0, crc32c(text), true);
  bytes.set(text, 4);
  return bytes;
}

/** `undefined` where the CRC does not match. */
export function decodeMetaValue(bytes: Uint8Array): unknown {
  if (bytes.length < 4) return undefined;
  const text = bytes.subarray(4);
  const stored = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
  return crc32c(text) === stored ? JSON.parse(Buffer.from(text).toString('utf8')) : undefined;
}

function withPrefix(kind: number, bytes: Uint8Array): Uint8Array {
  const value = new Uint8Array(RECORD_PREFIX_BYTES + bytes.length);
  value[0] = kind;
  value[1] = CLASS_ALL;
  value.set(bytes, RECORD_PREFIX_BYTES);
  return value;
}
