import { ENTRY_CAUSE_SHIFT } from '../../domain/block/block.ts';
import type { SequenceGapReason } from '../../domain/gap.ts';
import { SAMPLE_CAUSES, type SampleValue, type TimeGapReason } from '../../domain/sample.ts';
import { NO_STEPS, stepAt } from '../../domain/sequence-steps.ts';
import { concernsTag, type TagScope } from '../../domain/tag-scope.ts';
import type { ArchivedGap, ArchivedSample, QualityChange } from '../../world/archive.ts';
import { integerOf, integerOrNull } from './columns.ts';
import type { Register } from './register.ts';
import { remainingSequenceGaps } from './register-reads.ts';
import { CAUSE_MASK, FLAGS_DEVICE_TIMED, FLAGS_MARKS_SHIFT } from './sample-flags.ts';

/*
 * Rows as a query tells them. The columns have the same names in every database, with times as integer µs
 * (`source_us`); what a database has in a form of its own is given beside the row.
 */

type Row = Readonly<Record<string, unknown>>;

/** A row of samples, with its value and its device time, which is `null` or integer µs. */
export function sampleOf(
  register: Register,
  row: Row,
  { value, deviceTimeUs }: { readonly value: SampleValue; readonly deviceTimeUs: number | null },
): ArchivedSample {
  const sourceTimeUs = integerOf(row, 'source_us');
  const flags = integerOf(row, 'flags');
  const streamId = streamIdOf(register, row);
  const sequence = integerOf(row, 'sequence');
  const isDeviceTimed = (flags & FLAGS_DEVICE_TIMED) !== 0;
  const offsets = register.steps['clock-offset'].get(streamId) ?? NO_STEPS;
  const offsetUs = isDeviceTimed ? 0 : stepAt(offsets, sequence);
  return {
    sourceTimeUs,
    rawTimeUs: sourceTimeUs - offsetUs,
    receivedAtUs: integerOf(row, 'received_us'),
    deviceTimeUs: isDeviceTimed ? sourceTimeUs : deviceTimeUs,
    value,
    quality: integerOf(row, 'quality'),
    cause: SAMPLE_CAUSES[(flags >>> ENTRY_CAUSE_SHIFT) & CAUSE_MASK] ?? 'change',
    streamId,
    sequence,
    term: stepAt(register.steps.term.get(streamId) ?? NO_STEPS, sequence),
    marks: flags >>> FLAGS_MARKS_SHIFT,
  };
}

/** Rows by time, without those that change nothing. */
export function qualityChangesOf(rows: readonly Row[]): QualityChange[] {
  const changes: QualityChange[] = [];
  for (const row of rows) {
    const change = qualityChangeOf(row);
    if (changes.at(-1)?.quality !== change.quality) changes.push(change);
  }
  return changes;
}

export function qualityChangeOf(row: Row): QualityChange {
  return { sourceTimeUs: integerOf(row, 'source_us'), quality: integerOf(row, 'quality') };
}

/** Gaps that concern a tag, by time. `tagsOf`: the list of tags in a row of `time_gaps`. */
export function gapsOf<R extends Row>(
  register: Register,
  rows: { readonly time: readonly R[]; readonly sequence: readonly R[] },
  { scope, tagsOf }: { readonly scope: TagScope; readonly tagsOf: (row: R) => string[] },
): ArchivedGap[] {
  const time = rows.time.map((row) => timeGapOf(register, row, tagsOf(row)));
  return [
    ...time.filter((gap) => concernsTag(gap, scope)),
    ...rows.sequence.flatMap((row) => remainingOf(register, row)),
  ].sort((a, b) => a.fromUs - b.fromUs);
}

function timeGapOf(
  register: Register,
  row: Row,
  tags: readonly string[],
): Extract<ArchivedGap, { kind: 'time' }> {
  const count = integerOrNull(row, 'count');
  const station = row['station'] ?? null;
  return {
    kind: 'time',
    streamId: streamIdOf(register, row),
    sequence: integerOf(row, 'sequence'),
    station: station === null ? null : String(station),
    tags,
    fromUs: integerOf(row, 'from_us'),
    toUs: integerOf(row, 'to_us'),
    reason: String(row['reason']) as TimeGapReason,
    ...(count === null ? {} : { count }),
  };
}

/** What data that came later has left of a row of `sequence_gaps`. */
export function remainingOf(register: Register, row: Row): ArchivedGap[] {
  return remainingSequenceGaps(register, {
    streamId: streamIdOf(register, row),
    firstSequence: integerOf(row, 'first_sequence'),
    lastSequence: integerOf(row, 'last_sequence'),
    reason: String(row['reason']) as SequenceGapReason,
    fromUs: integerOf(row, 'from_us'),
    toUs: integerOf(row, 'to_us'),
    countAtMost: integerOf(row, 'count_at_most'),
  });
}

function streamIdOf(register: Register, row: Row): string {
  return register.streamsById.get(integerOf(row, 'stream'))?.streamId ?? '';
}
