import type { Bytes } from './bytes.ts';
import { type Columns, type Entry, type Header, KINDS } from './entry.ts';
import { readQualities, readRaw } from './values.ts';

/** The body that older agents wrote. */
export function readBody1(bytes: Bytes, { count, fromUs }: Header): Columns {
  const running = (from: number): number[] => {
    let value = from;
    return Array.from({ length: count }, () => {
      value += bytes.svarint();
      return value;
    });
  };
  const tags = running(0);
  const times = running(fromUs);
  const kinds = [...bytes.take(count)];
  const qualities = readQualities(bytes, count);
  const values: Entry['value'][] = kinds.map((kind) => {
    return (kind & 7) === 1 ? false : (kind & 7) === 2 ? true : null;
  });
  const placesOf = (kind: string): number[] => {
    return kinds.flatMap((each, at) => (KINDS[each & 7] === kind ? [at] : []));
  };
  readRaw(bytes, { tags, values, int64: placesOf('int64'), float64: placesOf('float64') });
  let before = 0;
  for (const [at, kind] of kinds.entries()) {
    if ((kind & 7) < 5) continue;
    if (before + bytes.varint() !== at) throw new Error('a text belongs to no entry');
    values[at] = bytes.utf8(bytes.varint());
    before = at;
  }
  const deviceTimes = new Map<number, number>();
  let at = 0;
  for (let left = bytes.varint(); left > 0; left--) {
    at += bytes.varint();
    deviceTimes.set(at, (times[at] ?? 0) + bytes.svarint());
  }
  const symbols = kinds.map((kind) => ((kind & 7) === 2 ? kind - 1 : kind));
  return { tags, times, symbols, qualities, values, deviceTimes };
}
