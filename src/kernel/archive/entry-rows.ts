import { type ArchivedClockFix, isMovedUntold, type Moved } from '../../domain/clock-offsets.ts';
import type { FoundEntry } from '../../domain/entry-run.ts';
import type { TimeGap, TimeGapReason } from '../../domain/sample.ts';
import type { SequenceSteps } from '../../domain/sequence-steps.ts';
import { integerOf, integerOrNull } from './columns.ts';
import type { StoredFix } from './known-fixes.ts';

/*
 * Rows of what has numbers beside samples, as the blocks held them. The columns have the same names in every
 * database, with times as integer µs.
 */

type Row = Readonly<Record<string, unknown>>;

export function clockFixOf(row: Row): ArchivedClockFix {
  return {
    streamId: String(row['of_stream']),
    firstSequence: integerOf(row, 'first_sequence'),
    lastSequence: integerOf(row, 'last_sequence'),
    offsetUs: integerOf(row, 'offset_us'),
  };
}

/** An entry, and the small id of the stream that it is in. */
export function storedFixOf(row: Row): StoredFix {
  const place = { stream: integerOf(row, 'stream'), sequence: integerOf(row, 'sequence') };
  return { ...place, atUs: integerOf(row, 'at_us'), ...clockFixOf(row) };
}

export function clockFixEntry(row: Row): FoundEntry<number> {
  return {
    sequence: integerOf(row, 'sequence'),
    other: { ...clockFixOf(row), atUs: integerOf(row, 'at_us') },
  };
}

/** `tags` and `isOneClock`: columns that each database has in a form of its own. */
export function timeGapEntry(
  row: Row,
  moved: Moved,
  { tags, isOneClock }: { readonly tags: readonly string[]; readonly isOneClock: boolean },
): FoundEntry<number> {
  const sequence = integerOf(row, 'sequence');
  const raw = isMovedUntold(moved, sequence) ? '' : 'raw_';
  const count = integerOrNull(row, 'count');
  const other: TimeGap = {
    station: row['station'] === null ? null : String(row['station']),
    tags,
    fromUs: integerOf(row, `${raw}from_us`),
    toUs: integerOf(row, `${raw}to_us`),
    reason: String(row['reason']) as TimeGapReason,
    ...(count === null ? {} : { count }),
    ...(isOneClock ? { isOneClock: true } : {}),
  };
  return { sequence, other };
}

/** Rows of `sequence_values`. */
export function stepsOf(rows: readonly Row[]): SequenceSteps {
  return rows.map((row) => ({
    first: integerOf(row, 'first_sequence'),
    last: integerOf(row, 'last_sequence'),
    value: integerOf(row, 'value'),
  }));
}

/** All of them by number; samples, which are most, come in that order. */
export function inOrder(
  samples: readonly FoundEntry<number>[],
  others: readonly FoundEntry<number>[],
): readonly FoundEntry<number>[] {
  if (others.length === 0) return samples;
  return [...samples, ...others].sort((one, other) => one.sequence - other.sequence);
}
