import type { ByteWriter } from '../bytes.ts';
import { ENTRY_KIND_MASK, EntryKind } from './block.ts';
import { COARSE_UNIT_US, writeColumn, writeSignedColumn } from './column.ts';
import { INTEGER_MAGNITUDE_MAX, integerOf, NumberClass, widerClass } from './number-class.ts';
import { deltaForward, PreviousValues, writePlanes, xorForward } from './planes.ts';
import {
  countRoles,
  FIRST_OF_TAG,
  NUMBER_GROUPS,
  placesOf,
  RecentSymbols,
  Role,
  roleOf,
  slotOf,
  TagMemory,
  UNSEEN,
} from './tag-memory.ts';

/** What a builder collected; each array has one element an entry. */
export interface EntryColumns {
  readonly tagIndexes: Uint32Array;
  /** Integer µs. */
  readonly times: Float64Array;
  readonly kinds: Uint8Array;
  readonly qualities: Uint32Array;
  /** 64 bits an entry: int64 or float64 by kind. */
  readonly values: DataView;
  /** UTF-8 of each entry with a text. */
  readonly texts: readonly Uint8Array[];
  readonly deviceTimes: readonly { readonly at: number; readonly timeUs: number }[];
  /** Source time that the first one is written against. */
  readonly fromUs: number;
}

const memory = new TagMemory();
const previousValues = new PreviousValues();
/** Room for the columns of a block, used again and again. */
let scratch = scratchFor(1024);

interface Scratch {
  /** What stands for each number: an integer, or NaN for one of class `raw`. */
  readonly integers: Float64Array;
  /** Class, and later role, of each number. */
  readonly roles: Uint8Array;
  /** Two columns that are being made. */
  readonly column: Float64Array;
  readonly spare: Float64Array;
}

function scratchFor(count: number): Scratch {
  return {
    integers: new Float64Array(count),
    roles: new Uint8Array(count),
    column: new Float64Array(count),
    spare: new Float64Array(count),
  };
}

/** Writes the body of a block of version 2; uplink/kernel.proto has its layout. */
export function writeBody(body: ByteWriter, entries: EntryColumns): void {
  const count = entries.kinds.length;
  if (scratch.roles.length < count) scratch = scratchFor(2 * count);
  let span = 1;
  for (let at = 0; at < count; at++) span = Math.max(span, 1 + (entries.tagIndexes[at] as number));
  memory.reserve(span);
  try {
    writeTags(body, entries.tagIndexes, span);
    writeTimes(body, entries);
    writeKinds(body, entries);
    writeBooleans(body, entries);
    writeQualities(body, entries.qualities);
    if (classify(entries)) settle(entries);
    writeClasses(body, entries);
    writeIntegers(body, entries);
    writeRaw(body, entries, Role.rawInteger);
    writeRaw(body, entries, Role.rawFloat);
  } finally {
    memory.clear(entries.tagIndexes);
  }
  writeTexts(body, entries.texts);
  writeDeviceTimes(body, entries);
}

function writeTags(body: ByteWriter, tagIndexes: Uint32Array, span: number): void {
  const { column } = scratch;
  body.varint(span);
  let next = 0;
  for (let at = 0; at < tagIndexes.length; at++) {
    const tag = tagIndexes[at] as number;
    column[at] = tag >= next ? tag - next : tag - next + span;
    next = tag + 1;
  }
  writeColumn(body, column.subarray(0, tagIndexes.length));
}

function writeTimes(body: ByteWriter, { times, fromUs }: EntryColumns): void {
  const { column, spare } = scratch;
  let runs = 0;
  let start = 0;
  for (let at = 1; at <= times.length; at++) {
    if (times[at] === times[at - 1]) continue;
    column[runs] = at - start - 1;
    if (at < times.length) spare[runs] = (times[at] as number) - (times[at - 1] as number);
    runs++;
    start = at;
  }
  body.varint(runs);
  writeColumn(body, column.subarray(0, runs));
  body.varint((times[0] as number) - fromUs);
  writeSteps(body, spare.subarray(0, runs - 1));
}

/** A column of µs, in milliseconds where all of them are whole ones; the steps are lost. */
function writeSteps(body: ByteWriter, steps: Float64Array): void {
  if (steps.length === 0) return;
  let isCoarse = true;
  for (let at = 0; at < steps.length && isCoarse; at++)
    isCoarse = (steps[at] as number) % COARSE_UNIT_US === 0;
  body.byte(isCoarse ? 1 : 0);
  if (isCoarse) for (let at = 0; at < steps.length; at++) steps[at] = (steps[at] as number) / COARSE_UNIT_US;
  writeSignedColumn(body, steps);
}

/** The kind of a boolean is one, whatever it says: that is in a column of its own. */
function symbolOf(kind: number): number {
  return (kind & ENTRY_KIND_MASK) === EntryKind.true ? kind - EntryKind.true + EntryKind.false : kind;
}

function writeKinds(body: ByteWriter, { kinds, tagIndexes }: EntryColumns): void {
  const { column } = scratch;
  const known = memory.symbols;
  const present = new Uint8Array(256);
  const symbols: number[] = [];
  for (let at = 0; at < kinds.length; at++) {
    const symbol = symbolOf(kinds[at] as number);
    if (present[symbol] === 1) continue;
    present[symbol] = 1;
    symbols.push(symbol);
  }
  body.varint(symbols.length);
  for (const symbol of symbols) body.byte(symbol);
  const recent = new RecentSymbols(symbols);
  for (let at = 0; at < kinds.length; at++) {
    const symbol = symbolOf(kinds[at] as number);
    const tag = tagIndexes[at] as number;
    const expected = known[tag] as number;
    if (expected === symbol) {
      column[at] = 0;
      continue;
    }
    column[at] = recent.use(symbol) + (expected === UNSEEN ? 0 : 1);
    known[tag] = symbol;
  }
  writeColumn(body, column.subarray(0, kinds.length));
}

function writeBooleans(body: ByteWriter, { kinds, tagIndexes }: EntryColumns): void {
  const { column } = scratch;
  const known = memory.booleans;
  let found = 0;
  for (let at = 0; at < kinds.length; at++) {
    const kind = (kinds[at] as number) & ENTRY_KIND_MASK;
    if (kind !== EntryKind.true && kind !== EntryKind.false) continue;
    const tag = tagIndexes[at] as number;
    const value = kind === EntryKind.true ? 1 : 0;
    column[found++] = value ^ (known[tag] as number);
    // A boolean comes when it has changed, so the other one is what is expected next.
    known[tag] = 1 - value;
  }
  writeColumn(body, column.subarray(0, found));
}

function writeQualities(body: ByteWriter, qualities: Uint32Array): void {
  let at = 0;
  while (at < qualities.length) {
    const quality = qualities[at] as number;
    let end = at + 1;
    while (end < qualities.length && qualities[end] === quality) end++;
    body.varint(end - at);
    body.varint(quality);
    at = end;
  }
}

/**
 * Finds the class of each tag's numbers, the integer of each number, and of which class that is. True: some
 * class became wider after a number of its tag had been seen.
 */
function classify({ kinds, tagIndexes, values }: EntryColumns): boolean {
  const { integers, roles } = scratch;
  const { classes } = memory;
  let isWidened = false;
  for (let at = 0; at < kinds.length; at++) {
    const kind = (kinds[at] as number) & ENTRY_KIND_MASK;
    if (kind !== EntryKind.float64 && kind !== EntryKind.int64) continue;
    const slot = slotOf(tagIndexes[at] as number, kind === EntryKind.float64);
    const before = classes[slot] as number;
    let code: number = before === UNSEEN ? NumberClass.decimal : before;
    if (kind === EntryKind.int64) {
      const integer = integerAt(values, at);
      integers[at] = integer;
      if (Number.isNaN(integer)) code = NumberClass.raw;
    } else if (code !== NumberClass.raw) {
      const value = values.getFloat64(at * 8, true);
      let integer = integerOf(value, code);
      if (Number.isNaN(integer)) {
        isWidened ||= before !== UNSEEN;
        code = widerClass(value, code);
        if (code !== NumberClass.raw) integer = integerOf(value, code);
      }
      integers[at] = integer;
    }
    classes[slot] = code;
    roles[at] = code;
  }
  return isWidened;
}

/**
 * What came before the class of its tag became wider gets its integer of that class; where there is none, the
 * tag's numbers are raw.
 */
function settle({ kinds, tagIndexes, values }: EntryColumns): void {
  const { integers, roles } = scratch;
  for (let at = 0; at < kinds.length; at++) {
    if (((kinds[at] as number) & ENTRY_KIND_MASK) !== EntryKind.float64) continue;
    const slot = slotOf(tagIndexes[at] as number, true);
    const code = memory.classes[slot] as number;
    if (code === roles[at] || code === NumberClass.raw) continue;
    const integer = integerOf(values.getFloat64(at * 8, true), code);
    integers[at] = integer;
    if (Number.isNaN(integer)) memory.classes[slot] = NumberClass.raw;
  }
}

function integerAt(values: DataView, at: number): number {
  const integer = values.getInt32(at * 8 + 4, true) * 2 ** 32 + values.getUint32(at * 8, true);
  return Math.abs(integer) <= INTEGER_MAGNITUDE_MAX ? integer : Number.NaN;
}

/** Writes the class of each tag's numbers where the first of them is, and finds the role of each number. */
function writeClasses(body: ByteWriter, { kinds, tagIndexes }: EntryColumns): void {
  const { roles, column, spare } = scratch;
  const { classes, seen } = memory;
  let ofIntegers = 0;
  let ofFloats = 0;
  for (let at = 0; at < kinds.length; at++) {
    const kind = (kinds[at] as number) & ENTRY_KIND_MASK;
    const isFloat = kind === EntryKind.float64;
    if (!isFloat && kind !== EntryKind.int64) {
      roles[at] = Role.none;
      continue;
    }
    const slot = slotOf(tagIndexes[at] as number, isFloat);
    const code = classes[slot] as number;
    const role = roleOf(code, isFloat);
    if (seen[slot] === 1) {
      roles[at] = role;
      continue;
    }
    seen[slot] = 1;
    roles[at] = role | FIRST_OF_TAG;
    if (isFloat) spare[ofFloats++] = code;
    else column[ofIntegers++] = code;
  }
  writeSignedColumn(body, column.subarray(0, ofIntegers));
  writeSignedColumn(body, spare.subarray(0, ofFloats));
}

/** For each group the first integer of each tag, and the step to each other one from the one before it. */
function writeIntegers(body: ByteWriter, { kinds, tagIndexes }: EntryColumns): void {
  const { integers, roles, column, spare } = scratch;
  const last = memory.integers;
  const places = placesOf(countRoles(roles.subarray(0, kinds.length)));
  const next = places.slice();
  for (let at = 0; at < kinds.length; at++) {
    const role = roles[at] as number;
    const group = role & ~FIRST_OF_TAG;
    if (group >= NUMBER_GROUPS) continue;
    const slot = slotOf(tagIndexes[at] as number, group !== Role.integer);
    const integer = integers[at] as number;
    const place = next[role] as number;
    next[role] = place + 1;
    if (role === group) column[place] = integer - (last[slot] as number);
    else spare[place] = integer;
    last[slot] = integer;
  }
  for (let group = 0; group < NUMBER_GROUPS; group++) {
    const first = group | FIRST_OF_TAG;
    writeSignedColumn(body, spare.subarray(places[first], next[first]));
    writeSignedColumn(body, column.subarray(places[group], next[group]));
  }
}

/** Numbers that are no integers, as 64 bits. */
function writeRaw(body: ByteWriter, { kinds, tagIndexes, values }: EntryColumns, role: number): void {
  const { roles } = scratch;
  const counts = countRoles(roles.subarray(0, kinds.length));
  const count = (counts[role] as number) + (counts[role | FIRST_OF_TAG] as number);
  if (count === 0) return;
  const halves = new Uint32Array(2 * count);
  const tags = new Uint32Array(count);
  let tagIndexMax = 0;
  let found = 0;
  for (let at = 0; at < kinds.length; at++) {
    if (((roles[at] as number) & ~FIRST_OF_TAG) !== role) continue;
    const tag = tagIndexes[at] as number;
    if (tag > tagIndexMax) tagIndexMax = tag;
    halves[2 * found] = values.getUint32(at * 8, true);
    halves[2 * found + 1] = values.getUint32(at * 8 + 4, true);
    tags[found++] = tag;
  }
  const previous = previousValues.halvesUpTo(tagIndexMax);
  if (role === Role.rawInteger) deltaForward(halves, tags, previous);
  else xorForward(halves, tags, previous);
  previousValues.clear(tags);
  writePlanes(body, halves);
}

function writeTexts(body: ByteWriter, texts: EntryColumns['texts']): void {
  writeColumn(
    body,
    Float64Array.from(texts, (bytes) => bytes.length),
  );
  for (const bytes of texts) body.raw(bytes);
}

function writeDeviceTimes(body: ByteWriter, { deviceTimes, times }: EntryColumns): void {
  const { column, spare } = scratch;
  body.varint(deviceTimes.length);
  let next = 0;
  for (const [index, { at, timeUs }] of deviceTimes.entries()) {
    column[index] = at - next;
    spare[index] = timeUs - (times[at] as number);
    next = at + 1;
  }
  writeColumn(body, column.subarray(0, deviceTimes.length));
  writeSteps(body, spare.subarray(0, deviceTimes.length));
}
