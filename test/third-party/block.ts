/*
 * Blocks of both versions. Written from docs/PROTOCOL.md, section 8, and the comments of kernel.proto alone;
 * nothing here imports anything of the program. It is meant to be read, not to be fast.
 */
import { zstdDecompressSync } from 'node:zlib';
import { readBody1 } from './block-1.ts';
import { readBody2 } from './block-2.ts';
import { Bytes } from './bytes.ts';
import { CAUSES, type Columns, type Entry, type Header, KINDS } from './entry.ts';
import { Fields } from './wire.ts';

export interface Envelope {
  readonly header: Header;
  readonly version: number;
  readonly codec: number;
  readonly bodyBytes: number;
  readonly body: Uint8Array;
}

/** @throws Error where the CRC does not match, or it is no block: nothing in it can be trusted */
export function openBlock(block: Uint8Array): Envelope {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  if (block.length < 12 || block[0] !== 0x4b || block[1] !== 0x42) throw new Error('no block');
  if (view.getUint32(4, true) !== crc32c(block.subarray(8))) throw new Error('its CRC does not match');
  const headerEnd = 12 + view.getUint32(8, true);
  const fields = new Fields(block.subarray(12, headerEnd));
  const header: Header = {
    streamId: fields.hex(1),
    firstSequence: fields.number(2),
    count: fields.number(3),
    fromUs: fields.number(4),
    spanUs: fields.number(5),
    dictionaryHash: fields.hex(6),
    isClockUncertain: fields.number(10) === 1,
  };
  const [codec, bodyBytes] = [fields.number(8), fields.number(9)];
  return { header, version: block[2] ?? 0, codec, bodyBytes, body: block.subarray(headerEnd) };
}

/** The entries of a block whose envelope was opened. @throws Error where it does not decode */
export function decodeBlock({ header, version, codec, bodyBytes, body }: Envelope): Entry[] {
  if (codec > 1 || header.count < 1 || header.count > 65_536) throw new Error('out of range');
  const plain = codec === 1 ? zstdDecompressSync(body, { maxOutputLength: Math.max(1, bodyBytes) }) : body;
  if (plain.length !== bodyBytes) throw new Error('the body is of another length');
  const bytes = new Bytes(plain);
  const columns = version === 1 ? readBody1(bytes, header) : version === 2 ? readBody2(bytes, header) : null;
  if (columns === null) throw new Error(`version ${version}`);
  if (bytes.left > 0) throw new Error('something is behind the last column');
  return Array.from({ length: header.count }, (_, at) => entryOf(columns, at, header));
}

function entryOf(columns: Columns, at: number, header: Header): Entry {
  const symbol = columns.symbols[at] ?? 0;
  const kind = KINDS[symbol & 7];
  const cause = CAUSES[(symbol >> 3) & 7];
  const timeUs = columns.times[at] ?? 0;
  if (kind === undefined || cause === undefined) throw new Error('an unknown kind or cause');
  const deviceTimeUs = (symbol & 64) !== 0 ? timeUs : columns.deviceTimes.get(at);
  return {
    ...{ sequence: header.firstSequence + at, tag: columns.tags[at] ?? 0, timeUs, kind, cause },
    ...{ value: columns.values[at] ?? null, quality: columns.qualities[at] ?? 0 },
    ...(deviceTimeUs === undefined ? {} : { deviceTimeUs }),
  };
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
