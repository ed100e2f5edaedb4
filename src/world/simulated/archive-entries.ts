import { type ArchivedClockFix, isMovedUntold, type Moved, movedBy } from '../../domain/clock-offsets.ts';
import type { Dictionary } from '../../domain/dictionary.ts';
import { entryRuns, type FoundEntry } from '../../domain/entry-run.ts';
import { moveTimeGap, type SampleCause } from '../../domain/sample.ts';
import { NO_STEPS, type SequenceSteps } from '../../domain/sequence-steps.ts';
import type { ArchivedEntries, EntryQuery } from '../archive.ts';
import type { ClockFixRow, NumberedRow, SampleRow, TimeGapRow } from './archive-rows.ts';

/** What a simulated archive has, as far as it tells entries. */
export interface RowsByNumber {
  readonly samples: readonly SampleRow[];
  readonly timeGaps: readonly TimeGapRow[];
  readonly clockFixes: readonly ClockFixRow[];
  /** Those that blocks of the stream used, in the order in which they were put. */
  readonly dictionaries: readonly (readonly [hash: string, dictionary: Dictionary])[];
  /** By stream id. */
  readonly terms: ReadonlyMap<string, SequenceSteps>;
  readonly offsets: ReadonlyMap<string, SequenceSteps>;
}

/** Answers what `Archive.entries` asks. */
export function entriesIn(rows: RowsByNumber, { streamId, first, last, limit }: EntryQuery): ArchivedEntries {
  const isAsked = (row: NumberedRow): boolean =>
    row.streamId === streamId && row.sequence >= first && row.sequence <= last;
  const moved = movedBy(rows.offsets.get(streamId) ?? NO_STEPS, fixesOf(rows.clockFixes, streamId));
  const found: FoundEntry<string>[] = [
    ...rows.samples.filter(isAsked).map((row) => foundSample(row, moved)),
    ...rows.timeGaps.filter(isAsked).map(({ sequence, gap, offsetUs }) => {
      const isUntold = isMovedUntold(moved, sequence);
      return { sequence, other: isUntold ? moveTimeGap(gap, offsetUs) : gap };
    }),
    ...rows.clockFixes.filter(isAsked).map(({ sequence, fix }) => ({ sequence, other: fix })),
  ];
  found.sort((one, other) => one.sequence - other.sequence);
  const end = Math.min(last, first + limit - 1);
  const told = found.filter(({ sequence }) => sequence <= end);
  const dictionaries = rows.dictionaries.toReversed().map(([hash, { tags }]) => {
    const indexes = new Map(tags.map(({ name }, index) => [name, index]));
    return { hash, indexOf: (tag: string) => indexes.get(tag) };
  });
  return {
    runs: entryRuns(told, { streamId, dictionaries, terms: rows.terms.get(streamId) ?? NO_STEPS }),
    through: told.length > 0 ? end : (found[0]?.sequence ?? last + 1) - 1,
  };
}

/** What has been said of the numbers of a stream, with who said it. */
export function fixesOf(rows: readonly ClockFixRow[], streamId: string): ArchivedClockFix[] {
  return rows
    .filter(({ fix }) => fix.streamId === streamId)
    .map(({ fix: { atUs, ...fix }, ...by }) => ({
      ...fix,
      by: { streamId: by.streamId, sequence: by.sequence, atUs },
    }));
}

function foundSample(row: SampleRow, moved: Moved): FoundEntry<string> {
  const sourceTimeUs = isMovedUntold(moved, row.sequence) ? row.sourceTimeUs : row.rawTimeUs;
  const { value, quality, deviceTimeUs, sequence, tag, marks } = row;
  const cause = row.cause as SampleCause;
  const device = deviceTimeUs === null ? {} : { deviceTimeUs };
  return { sequence, tag, marks, sample: { tagIndex: 0, sourceTimeUs, value, quality, cause, ...device } };
}
