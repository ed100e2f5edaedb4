import { EntryKind } from '../../domain/block/block.ts';
import type { SampleValue } from '../../domain/sample.ts';
import { type Row, textOf } from './duckdb.ts';

/** The value of a row of samples, of this kind. */
export function rowValue(row: Row, kind: number): SampleValue {
  const value = Number(row['value']);
  switch (kind) {
    case EntryKind.false:
      return false;
    case EntryKind.true:
      return true;
    case EntryKind.int64:
      return BigInt(row['text'] === null ? value : textOf(row, 'text'));
    case EntryKind.float64:
      return value;
    case EntryKind.text:
      return textOf(row, 'text');
    default:
      return null;
  }
}
