import { type Bytes, unzigzag } from './bytes.ts';

const WIDTH_MAX = 53;

/** Numbers from 0 on. */
export function readColumn(bytes: Bytes, count: number): number[] {
  return count === 0 ? [] : readMode(bytes, count, bytes.byte());
}

export function readSignedColumn(bytes: Bytes, count: number): number[] {
  if (count === 0) return [];
  const mode = bytes.byte();
  if (mode < 0x80) return readMode(bytes, count, mode).map(unzigzag);
  const least = bytes.varint();
  return readMode(bytes, count, mode - 0x80).map((number) => least + number);
}

/** Differences of times, in µs. */
export function readSteps(bytes: Bytes, count: number): number[] {
  if (count === 0) return [];
  const unit = bytes.byte();
  if (unit > 1) throw new Error('an unknown unit of time');
  return readSignedColumn(bytes, count).map((step) => (unit === 1 ? step * 1000 : step));
}

function readMode(bytes: Bytes, count: number, mode: number): number[] {
  if (mode === 0x3f) return readSparse(bytes, count);
  if (mode >= 0x80) throw new Error('an unknown mode');
  const isRice = mode >= 0x40;
  const parameter = isRice ? mode - 0x40 : mode;
  const width = isRice ? bytes.byte() : parameter;
  if (parameter > WIDTH_MAX || width > WIDTH_MAX) throw new Error('numbers are too wide');
  const bits = bytes.bits();
  const numbers = Array.from({ length: count }, () => {
    if (!isRice) return bits.take(width);
    let ones = 0;
    while (ones < 4 && bits.take(1) === 1) ones++;
    return ones === 4 ? bits.take(width) : ones * 2 ** parameter + bits.take(parameter);
  });
  bits.close();
  return numbers;
}

function readSparse(bytes: Bytes, count: number): number[] {
  const numbers = new Array<number>(count).fill(0);
  const present = bytes.varint();
  if (present > count) throw new Error('more numbers than there are');
  const dense = (): number[] => {
    const mode = present === 0 ? 0 : bytes.byte();
    if (mode === 0x3f) throw new Error('a sparse column in a sparse one');
    return present === 0 ? [] : readMode(bytes, present, mode);
  };
  const zeros = dense();
  const values = dense();
  let at = -1;
  for (const [index, before] of zeros.entries()) {
    at += 1 + before;
    if (at >= count) throw new Error('a number behind the last one');
    numbers[at] = (values[index] ?? 0) + 1;
  }
  return numbers;
}
