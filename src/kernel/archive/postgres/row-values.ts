import { ENTRY_KIND_MASK, EntryKind } from '../../../domain/block/block.ts';
import type { SampleValue } from '../../../domain/sample.ts';
import { integerOf } from '../columns.ts';
import { textOf } from './columns.ts';
import type { Row } from './connection.ts';

/** The columns that `sampleValueOf` reads, with `flags`. */
export const VALUE_COLUMNS = 'value_bool, value_int, value_float, value_text, value_bytes';

/** The value of a row of samples. */
export function sampleValueOf(row: Row): SampleValue {
  switch (integerOf(row, 'flags') & ENTRY_KIND_MASK) {
    case EntryKind.false:
      return false;
    case EntryKind.true:
      return true;
    case EntryKind.int64:
      return BigInt(textOf(row, 'value_int'));
    case EntryKind.float64:
      return Number(row['value_float']);
    case EntryKind.text: {
      const bytes = row['value_bytes'];
      // PostgreSQL writes it as \x and hexadecimal digits.
      return typeof bytes === 'string'
        ? Buffer.from(bytes.slice(2), 'hex').toString()
        : textOf(row, 'value_text');
    }
    default:
      return null;
  }
}
