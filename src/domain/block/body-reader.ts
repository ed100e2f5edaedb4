import type { ByteReader } from '../bytes.ts';
import { DICTIONARY_TAGS_MAX } from '../dictionary.ts';
import { type BlockHeader, type DecodedBlock, ENTRY_KIND_MASK, EntryKind } from './block.ts';
import { COARSE_UNIT_US, readColumn, readSignedColumn } from './column.ts';
import { corrupt } from './corrupt.ts';
import { floatOf, isIntegerClass, isNumberClass } from './number-class.ts';
import { deltaBack, PreviousValues, readPlanes, xorBack } from './planes.ts';
import {
  countRoles,
  FIRST_OF_TAG,
  NUMBER_GROUPS,
  RecentSymbols,
  Role,
  roleOf,
  slotOf,
  TagMemory,
  UNSEEN,
} from './tag-memory.ts';

const SYMBOLS_MAX = 256;
const NONE = new Float64Array(0);

const memory = new TagMemory();
const previousValues = new PreviousValues();

/** What a body says; the bit `ENTRY_DEVICE_TIMED` is in the kinds, which are not checked. */
export interface BodyColumns extends Omit<DecodedBlock, 'header' | 'deviceTimesUs'> {
  readonly deviceTimesUs: Map<number, number>;
}

/** What is decoded so far; each array has one element an entry. */
interface Columns {
  readonly tagIndexes: Uint32Array;
  readonly kinds: Uint8Array;
  readonly integers: BigInt64Array<ArrayBuffer>;
  readonly floats: Float64Array<ArrayBuffer>;
  readonly roles: Uint8Array;
}

/** Columns of a body of version 2; uplink/kernel.proto has the layout. @throws KomError KOM_BLOCK_CORRUPT */
export function readBody(reader: ByteReader, header: BlockHeader): BodyColumns {
  const { count } = header;
  const tagIndexes = readTags(reader, count);
  try {
    const sourceTimesUs = readTimes(reader, header);
    const kinds = readKinds(reader, tagIndexes);
    readBooleans(reader, kinds, tagIndexes);
    const qualities = readQualities(reader, count);
    const columns: Columns = {
      tagIndexes,
      kinds,
      integers: new BigInt64Array(count),
      floats: new Float64Array(count),
      roles: new Uint8Array(count).fill(Role.none),
    };
    readClasses(reader, columns);
    readIntegers(reader, columns);
    readRaw(reader, columns, Role.rawInteger);
    readRaw(reader, columns, Role.rawFloat);
    const texts = readTexts(reader, kinds);
    const deviceTimesUs = readDeviceTimes(reader, sourceTimesUs);
    const { integers, floats } = columns;
    return { tagIndexes, sourceTimesUs, kinds, qualities, integers, floats, texts, deviceTimesUs };
  } finally {
    memory.clear(tagIndexes);
  }
}

function readTags(reader: ByteReader, count: number): Uint32Array {
  const span = reader.varint();
  if (span < 1 || span > DICTIONARY_TAGS_MAX) throw corrupt('a tag index is out of range');
  memory.reserve(span);
  const gaps = readColumn(reader, count);
  const tags = new Uint32Array(count);
  let next = 0;
  for (let at = 0; at < count; at++) {
    const gap = gaps[at] as number;
    let tag = next + gap;
    if (tag >= span) tag -= span;
    if (gap >= span || tag >= span) throw corrupt('a tag index is out of range');
    tags[at] = tag;
    next = tag + 1;
  }
  return tags;
}

function readTimes(reader: ByteReader, header: BlockHeader): Float64Array {
  const { count, fromUs, toUs } = header;
  const runs = reader.varint();
  if (runs < 1 || runs > count) throw corrupt('a run of times is out of range');
  const lengths = readColumn(reader, runs);
  let timeUs = fromUs + reader.varint();
  const steps = readSteps(reader, runs - 1);
  const times = new Float64Array(count);
  let at = 0;
  for (let run = 0; run < runs; run++) {
    if (run > 0) timeUs += steps[run - 1] as number;
    const end = at + 1 + (lengths[run] as number);
    if (end > count) throw corrupt('a run of times is out of range');
    if (!(timeUs >= fromUs && timeUs <= toUs)) throw corrupt('a time is outside the span of the block');
    times.fill(timeUs, at, end);
    at = end;
  }
  if (at !== count) throw corrupt('a run of times is out of range');
  return times;
}

function readSteps(reader: ByteReader, count: number): Float64Array {
  if (count === 0) return new Float64Array(0);
  const unit = reader.raw(1)[0] as number;
  if (unit > 1) throw corrupt('a unit of time is unknown');
  const steps = readSignedColumn(reader, count);
  if (unit === 1) for (let at = 0; at < count; at++) steps[at] = (steps[at] as number) * COARSE_UNIT_US;
  return steps;
}

function readKinds(reader: ByteReader, tagIndexes: Uint32Array): Uint8Array {
  const known = memory.symbols;
  const symbols = reader.varint();
  if (symbols < 1 || symbols > SYMBOLS_MAX) throw corrupt('an entry is of an unknown kind');
  const recent = new RecentSymbols([...reader.raw(symbols)]);
  const places = readColumn(reader, tagIndexes.length);
  const kinds = new Uint8Array(tagIndexes.length);
  for (let at = 0; at < kinds.length; at++) {
    const tag = tagIndexes[at] as number;
    const expected = known[tag] as number;
    const place = places[at] as number;
    if (place === 0 && expected !== UNSEEN) {
      kinds[at] = expected;
      continue;
    }
    const symbol = recent.useAt(expected === UNSEEN ? place : place - 1);
    if (symbol === undefined) throw corrupt('an entry is of an unknown kind');
    kinds[at] = symbol;
    known[tag] = symbol;
  }
  return kinds;
}

function readBooleans(reader: ByteReader, kinds: Uint8Array, tagIndexes: Uint32Array): void {
  const known = memory.booleans;
  let found = 0;
  for (const kind of kinds) if ((kind & ENTRY_KIND_MASK) === EntryKind.false) found++;
  const differences = readColumn(reader, found);
  found = 0;
  for (let at = 0; at < kinds.length; at++) {
    const kind = kinds[at] as number;
    if ((kind & ENTRY_KIND_MASK) !== EntryKind.false) continue;
    const tag = tagIndexes[at] as number;
    const value = ((differences[found++] as number) ^ (known[tag] as number)) & 1;
    kinds[at] = kind + value * (EntryKind.true - EntryKind.false);
    known[tag] = 1 - value;
  }
}

/** Runs of equal qualities; the same in both versions. */
export function readQualities(reader: ByteReader, count: number): Uint32Array {
  const qualities = new Uint32Array(count);
  let at = 0;
  while (at < count) {
    const run = reader.varint();
    const quality = reader.varint();
    if (run < 1 || run > count - at || quality > 0xffff_ffff)
      throw corrupt('a run of qualities is out of range');
    qualities.fill(quality, at, at + run);
    at += run;
  }
  return qualities;
}

function readClasses(reader: ByteReader, { kinds, tagIndexes, roles }: Columns): void {
  const { classes, seen } = memory;
  const slots: [number[], number[]] = [[], []];
  for (let at = 0; at < kinds.length; at++) {
    const kind = (kinds[at] as number) & ENTRY_KIND_MASK;
    if (kind !== EntryKind.float64 && kind !== EntryKind.int64) continue;
    const isFloat = kind === EntryKind.float64;
    const slot = slotOf(tagIndexes[at] as number, isFloat);
    if (seen[slot] === 1) continue;
    seen[slot] = 1;
    roles[at] = FIRST_OF_TAG;
    slots[isFloat ? 1 : 0].push(slot);
  }
  for (const slotsOfKind of slots) {
    const codes = readSignedColumn(reader, slotsOfKind.length);
    for (const [index, slot] of slotsOfKind.entries()) {
      const code = codes[index] as number;
      const isKnown = slotsOfKind === slots[1] ? isNumberClass(code) : isIntegerClass(code);
      if (!isKnown) throw corrupt('a number is of an unknown class');
      classes[slot] = code;
    }
  }
  for (let at = 0; at < kinds.length; at++) {
    const kind = (kinds[at] as number) & ENTRY_KIND_MASK;
    if (kind !== EntryKind.float64 && kind !== EntryKind.int64) continue;
    const isFloat = kind === EntryKind.float64;
    const role = roleOf(classes[slotOf(tagIndexes[at] as number, isFloat)] as number, isFloat);
    roles[at] = roles[at] === FIRST_OF_TAG ? role | FIRST_OF_TAG : role;
  }
}

function readIntegers(reader: ByteReader, columns: Columns): void {
  const last = memory.integers;
  const { classes } = memory;
  const { tagIndexes, integers, floats, roles } = columns;
  const counts = countRoles(roles);
  const numbers: Float64Array[] = Array.from({ length: 2 * FIRST_OF_TAG }, () => NONE);
  for (let group = 0; group < NUMBER_GROUPS; group++) {
    for (const role of [group | FIRST_OF_TAG, group]) {
      numbers[role] = readSignedColumn(reader, counts[role] as number);
    }
  }
  const next = new Uint32Array(2 * FIRST_OF_TAG);
  const halves = new DataView(integers.buffer);
  for (let at = 0; at < roles.length; at++) {
    const role = roles[at] as number;
    const group = role & ~FIRST_OF_TAG;
    if (group >= NUMBER_GROUPS) continue;
    const slot = slotOf(tagIndexes[at] as number, group !== Role.integer);
    const place = next[role] as number;
    next[role] = place + 1;
    const number = (numbers[role] as Float64Array)[place] as number;
    const integer = role === group ? (last[slot] as number) + number : number;
    last[slot] = integer;
    if (group !== Role.integer) floats[at] = floatOf(integer, classes[slot] as number);
    else {
      halves.setUint32(at * 8, integer, true);
      halves.setInt32(at * 8 + 4, Math.floor(integer / 2 ** 32), true);
    }
  }
}

function readRaw(reader: ByteReader, columns: Columns, role: number): void {
  const { tagIndexes, integers, floats, roles } = columns;
  const counts = countRoles(roles);
  const count = (counts[role] as number) + (counts[role | FIRST_OF_TAG] as number);
  if (count === 0) return;
  const halves = readPlanes(reader, count);
  const places = new Uint32Array(count);
  const tags = new Uint32Array(count);
  let tagIndexMax = 0;
  let found = 0;
  for (let at = 0; at < roles.length; at++) {
    if (((roles[at] as number) & ~FIRST_OF_TAG) !== role) continue;
    const tag = tagIndexes[at] as number;
    if (tag > tagIndexMax) tagIndexMax = tag;
    places[found] = at;
    tags[found++] = tag;
  }
  const previous = previousValues.halvesUpTo(tagIndexMax);
  if (role === Role.rawInteger) deltaBack(halves, tags, previous);
  else xorBack(halves, tags, previous);
  previousValues.clear(tags);
  const view = new DataView((role === Role.rawInteger ? integers : floats).buffer);
  for (let index = 0; index < count; index++) {
    const at = places[index] as number;
    view.setUint32(at * 8, halves[2 * index] as number, true);
    view.setUint32(at * 8 + 4, halves[2 * index + 1] as number, true);
  }
}

function readTexts(reader: ByteReader, kinds: Uint8Array): Map<number, string> {
  const places: number[] = [];
  for (let at = 0; at < kinds.length; at++) {
    if (((kinds[at] as number) & ENTRY_KIND_MASK) >= EntryKind.text) places.push(at);
  }
  const lengths = readColumn(reader, places.length);
  const texts = new Map<number, string>();
  for (const [index, at] of places.entries()) {
    texts.set(at, Buffer.from(reader.raw(lengths[index] as number)).toString('utf8'));
  }
  return texts;
}

function readDeviceTimes(reader: ByteReader, sourceTimesUs: Float64Array): Map<number, number> {
  const count = reader.varint();
  if (count > sourceTimesUs.length) throw corrupt('a device time belongs to no entry');
  const gaps = readColumn(reader, count);
  const differences = readSteps(reader, count);
  const times = new Map<number, number>();
  let at = -1;
  for (let index = 0; index < count; index++) {
    at += 1 + (gaps[index] as number);
    const sourceTimeUs = sourceTimesUs[at];
    if (sourceTimeUs === undefined) throw corrupt('a device time belongs to no entry');
    times.set(at, sourceTimeUs + (differences[index] as number));
  }
  return times;
}
