import { ENTRY_KIND_MASK, EntryKind } from '../../../domain/block/block.ts';
import { KomError } from '../../../domain/errors.ts';
import type { SampleValue } from '../../../domain/sample.ts';
import { integerOf } from '../columns.ts';
import { textOf } from './columns.ts';
import type { Row } from './connection.ts';
import { COLUMN_OF_KIND, SAMPLES } from './schema.ts';

/** The columns that `sampleValueOf` reads, with `flags` and `quality`. */
export const VALUE_COLUMNS = 'value_bool, value_int, value_float, value_text, value_bytes';

/** What no row of samples is without; asked of those that were selected. */
const ALWAYS_SET = ['flags', 'quality', 'received_us'] as const;

/**
 * The value of a row of samples.
 * @throws KomError KOM_ARCHIVE_UNAVAILABLE if it is damaged, see `IS_DAMAGED`
 */
export function sampleValueOf(row: Row): SampleValue {
  const lacking = ALWAYS_SET.find((column) => row[column] === null);
  if (lacking !== undefined) throw damagedError(row, lacking === 'received_us' ? 'received_time' : lacking);
  const kind = integerOf(row, 'flags') & ENTRY_KIND_MASK;
  const column = COLUMN_OF_KIND.get(kind);
  if (column === undefined) return null;
  if ((row[column] ?? null) === null) throw damagedError(row, column);
  switch (kind) {
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
      return kind === EntryKind.true;
  }
}

/** A row that is damaged is neither told nor given away, see `IS_DAMAGED`. */
export function damagedError(row: Row, column?: string): KomError {
  const what = column === undefined ? 'has not all' : `has nothing in ${column}, and not all`;
  const number = textOf(row, 'sequence');
  const why = `a row of ${SAMPLES} (sequence ${number}) ${what} that it was written with`;
  return new KomError('KOM_ARCHIVE_UNAVAILABLE', `${why}: somebody has changed it`, {
    hint: 'put it back, or declare it lost (docs/POSTGRESQL.md, Values that are gone)',
  });
}
