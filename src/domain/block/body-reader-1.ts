import type { ByteReader } from '../bytes.ts';
import { DICTIONARY_TAGS_MAX } from '../dictionary.ts';
import { type BlockHeader, ENTRY_KIND_MASK, EntryKind } from './block.ts';
import { type BodyColumns, readQualities } from './body-reader.ts';
import { corrupt } from './corrupt.ts';
import { deltaBack, PreviousValues, readPlanes, xorBack } from './planes.ts';

/*
 * The body of version 1, which older agents wrote; none is written any more. After decompression, with n
 * entries and svarint = ZigZag varint:
 *
 *   n svarint   tag index, difference to the entry before it (first: to 0)
 *   n svarint   source time, difference to the entry before it (first: to from_us)
 *   n byte      kinds
 *   runs        varint length, varint quality, until n entries are covered
 *   8·i byte    the i int64 values: difference (mod 2^64) to the same tag's int64 before it in the block
 *               (first: to 0), ZigZag coded as 64 bits, by byte planes, lowest byte first
 *   8·f byte    the f float64 values: bits exclusive-or the same tag's float64 before it (first: 0), planes
 *   texts       for each entry with a text: varint distance from the one before it (first: from entry 0),
 *               varint length, UTF-8
 *   device      varint count; for each: varint distance from the one before it, svarint difference to the
 *               source time
 */

/** @throws KomError KOM_BLOCK_CORRUPT */
export function readBody1(reader: ByteReader, header: BlockHeader): BodyColumns {
  const tagIndexes = readTags(reader, header.count);
  const sourceTimesUs = readTimes(reader, header);
  const kinds = reader.raw(header.count).slice();
  const qualities = readQualities(reader, header.count);
  const columns = { kinds, tagIndexes };
  const integers = new BigInt64Array(
    scatter(readValues(reader, columns, EntryKind.int64), kinds, EntryKind.int64),
  );
  const floats = new Float64Array(
    scatter(readValues(reader, columns, EntryKind.float64), kinds, EntryKind.float64),
  );
  const texts = readTexts(reader, kinds);
  const deviceTimesUs = readDeviceTimes(reader, sourceTimesUs);
  return { tagIndexes, sourceTimesUs, kinds, qualities, integers, floats, texts, deviceTimesUs };
}

function readTags(reader: ByteReader, count: number): Uint32Array {
  const tags = new Uint32Array(count);
  let tag = 0;
  for (let at = 0; at < count; at++) {
    tag += reader.signedVarint();
    if (tag < 0 || tag >= DICTIONARY_TAGS_MAX) throw corrupt('a tag index is out of range');
    tags[at] = tag;
  }
  return tags;
}

function readTimes(reader: ByteReader, header: BlockHeader): Float64Array {
  const times = new Float64Array(header.count);
  let timeUs = header.fromUs;
  for (let at = 0; at < header.count; at++) {
    timeUs += reader.signedVarint();
    if (timeUs < header.fromUs || timeUs > header.toUs)
      throw corrupt('a time is outside the span of the block');
    times[at] = timeUs;
  }
  return times;
}

interface KindAndTagColumns {
  readonly kinds: Uint8Array;
  readonly tagIndexes: Uint32Array;
}

const previousValues = new PreviousValues();

function readValues(reader: ByteReader, columns: KindAndTagColumns, kind: number): Uint32Array {
  const { kinds, tagIndexes } = columns;
  const tagsOfKind = new Uint32Array(kinds.length);
  let count = 0;
  let tagIndexMax = 0;
  for (let at = 0; at < kinds.length; at++) {
    if (((kinds[at] as number) & ENTRY_KIND_MASK) !== kind) continue;
    const tag = tagIndexes[at] as number;
    if (tag > tagIndexMax) tagIndexMax = tag;
    tagsOfKind[count++] = tag;
  }
  const tags = tagsOfKind.subarray(0, count);
  const halves = readPlanes(reader, count);
  const previous = previousValues.halvesUpTo(tagIndexMax);
  if (kind === EntryKind.int64) deltaBack(halves, tags, previous);
  else xorBack(halves, tags, previous);
  previousValues.clear(tags);
  return halves;
}

/** Puts the packed values of one kind at the positions of their entries. */
function scatter(halves: Uint32Array, kinds: Uint8Array, kind: number): ArrayBuffer {
  const buffer = new ArrayBuffer(kinds.length * 8);
  const view = new DataView(buffer);
  let from = 0;
  for (let at = 0; at < kinds.length; at++) {
    if (((kinds[at] as number) & ENTRY_KIND_MASK) !== kind) continue;
    view.setUint32(at * 8, halves[from++] as number, true);
    view.setUint32(at * 8 + 4, halves[from++] as number, true);
  }
  return buffer;
}

function readTexts(reader: ByteReader, kinds: Uint8Array): Map<number, string> {
  const texts = new Map<number, string>();
  let before = 0;
  for (let at = 0; at < kinds.length; at++) {
    const kind = (kinds[at] as number) & ENTRY_KIND_MASK;
    if (kind < EntryKind.text) continue;
    if (before + reader.varint() !== at) throw corrupt('a text belongs to no entry');
    texts.set(at, Buffer.from(reader.raw(reader.varint())).toString('utf8'));
    before = at;
  }
  return texts;
}

function readDeviceTimes(reader: ByteReader, sourceTimesUs: Float64Array): Map<number, number> {
  const times = new Map<number, number>();
  let at = 0;
  for (let left = reader.varint(); left > 0; left--) {
    at += reader.varint();
    const sourceTimeUs = sourceTimesUs[at];
    if (sourceTimeUs === undefined) throw corrupt('a device time belongs to no entry');
    times.set(at, sourceTimeUs + reader.signedVarint());
  }
  return times;
}
