import type { Bytes } from './bytes.ts';
import { readColumn, readSignedColumn, readSteps } from './column.ts';
import { type Columns, type Entry, type Header, KINDS } from './entry.ts';
import { type Numbers, readQualities, readRaw } from './values.ts';

/** The body that agents write now. */
export function readBody2(bytes: Bytes, header: Header): Columns {
  const tags = readTags(bytes, header.count);
  const times = readTimes(bytes, header);
  const symbols = readSymbols(bytes, tags);
  const isOf = (kind: string) => (at: number) => KINDS[(symbols[at] ?? 0) & 7] === kind;
  const places = tags.map((_, at) => at);
  const values: Entry['value'][] = tags.map(() => null);

  const booleans = places.filter(isOf('boolean'));
  const lastBoolean = new Map<number, boolean>();
  for (const [index, difference] of readColumn(bytes, booleans.length).entries()) {
    const at = booleans[index] ?? 0;
    const tag = tags[at] ?? 0;
    const expected = lastBoolean.has(tag) ? !lastBoolean.get(tag) : false;
    const value = difference === 0 ? expected : !expected;
    values[at] = value;
    lastBoolean.set(tag, value);
  }
  const qualities = readQualities(bytes, header.count);
  readNumbers(bytes, {
    tags,
    values,
    int64: places.filter(isOf('int64')),
    float64: places.filter(isOf('float64')),
  });

  const texts = places.filter((at) => ((symbols[at] ?? 0) & 7) >= 5);
  const lengths = readColumn(bytes, texts.length);
  for (const [index, at] of texts.entries()) values[at] = bytes.utf8(lengths[index] ?? 0);

  const deviceTimes = new Map<number, number>();
  const count = bytes.varint();
  const distances = readColumn(bytes, count);
  const differences = readSteps(bytes, count);
  let at = -1;
  for (const [index, distance] of distances.entries()) {
    at += 1 + distance;
    deviceTimes.set(at, (times[at] ?? 0) + (differences[index] ?? 0));
  }
  return { tags, times, symbols, qualities, values, deviceTimes };
}

function readTags(bytes: Bytes, count: number): number[] {
  const below = bytes.varint();
  let before = -1;
  return readColumn(bytes, count).map((distance) => {
    before = (before + 1 + distance) % below;
    return before;
  });
}

function readTimes(bytes: Bytes, { count, fromUs, spanUs }: Header): number[] {
  const runs = bytes.varint();
  const lengths = readColumn(bytes, runs).map((length) => length + 1);
  let timeUs = fromUs + bytes.varint();
  const steps = [0, ...readSteps(bytes, runs - 1)];
  const times = lengths.flatMap((length, run) => {
    timeUs += steps[run] ?? 0;
    if (timeUs < fromUs || timeUs > fromUs + spanUs) throw new Error('a time beyond the span');
    return new Array<number>(Math.min(length, count + 1)).fill(timeUs);
  });
  if (times.length !== count) throw new Error('runs of times do not fit');
  return times;
}

function readSymbols(bytes: Bytes, tags: readonly number[]): number[] {
  const list = [...bytes.take(bytes.varint())];
  const last = new Map<number, number>();
  return readColumn(bytes, tags.length).map((place, at) => {
    const tag = tags[at] ?? 0;
    const known = last.get(tag);
    if (known !== undefined && place === 0) return known;
    const [symbol] = list.splice(known === undefined ? place : place - 1, 1);
    if (symbol === undefined) throw new Error('no such symbol');
    list.unshift(symbol);
    last.set(tag, symbol);
    return symbol;
  });
}

function readNumbers(bytes: Bytes, { tags, values, int64, float64 }: Numbers): void {
  const tagOf = (at: number): number => tags[at] ?? 0;
  const classesOf = (places: readonly number[]): Map<number, number> => {
    const firsts = [...new Set(places.map(tagOf))];
    const classes = readSignedColumn(bytes, firsts.length);
    return new Map(firsts.map((tag, index) => [tag, classes[index] ?? 0]));
  };
  const intClasses = classesOf(int64);
  const floatClasses = classesOf(float64);
  const group = (places: readonly number[], classes: Map<number, number>, from: number, to: number) =>
    places.filter((at) => from <= (classes.get(tagOf(at)) ?? 0) && (classes.get(tagOf(at)) ?? 0) <= to);
  const steps = (places: readonly number[], make: (m: number, tag: number) => Entry['value']): void => {
    const seen = new Set<number>();
    const isFirst = places.map((at) => !seen.has(tagOf(at)) && Boolean(seen.add(tagOf(at))));
    const firsts = readSignedColumn(bytes, seen.size);
    const others = readSignedColumn(bytes, places.length - seen.size);
    const last = new Map<number, number>();
    for (const [index, at] of places.entries()) {
      const tag = tagOf(at);
      const m = isFirst[index] ? (firsts.shift() ?? 0) : (last.get(tag) ?? 0) + (others.shift() ?? 0);
      last.set(tag, m);
      values[at] = make(m, tag);
    }
  };
  steps(group(int64, intClasses, 0, 0), (m) => BigInt(m));
  const make = (m: number, tag: number): number => floatOf(m, floatClasses.get(tag) ?? 0);
  steps(group(float64, floatClasses, 0, 9), make);
  steps(group(float64, floatClasses, 16, 30), make);
  readRaw(bytes, {
    tags,
    values,
    int64: group(int64, intClasses, 31, 31),
    float64: group(float64, floatClasses, 31, 31),
  });
}

function floatOf(m: number, numberClass: number): number {
  if (numberClass <= 9) return m / 10 ** numberClass;
  if (numberClass <= 22) return Math.fround(m / 10 ** (numberClass - 16));
  const bits = new DataView(new ArrayBuffer(4));
  bits.setInt32(0, m);
  return bits.getFloat32(0);
}
