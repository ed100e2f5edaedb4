import { clockFixAt, entryAt, isClockFixAt } from '../../domain/block/codec.ts';
import type { ClockFix } from '../../domain/clock-fix.ts';
import type { ArchivedClockFix } from '../../domain/clock-offsets.ts';
import type { CommitPlan, RepairedRange } from '../../domain/commit-plan.ts';
import { KomError } from '../../domain/errors.ts';
import { Mark } from '../../domain/marks.ts';
import { isTimeGap, type TimeGap } from '../../domain/sample.ts';
import { type SequenceSteps, stepAt } from '../../domain/sequence-steps.ts';
import type { ArchivedSample, ArchiveStat, ArchiveTransaction } from '../archive.ts';

export type SampleRow = ArchivedSample & { readonly site: string; readonly tag: string };

/** A row by where it came. */
export interface NumberedRow {
  readonly streamId: string;
  readonly sequence: number;
}

export interface TimeGapRow extends NumberedRow {
  /** As it came. */
  readonly gap: TimeGap;
  readonly offsetUs: number;
}

export interface ClockFixRow extends NumberedRow {
  readonly fix: ClockFix;
}

interface ArchivedRows {
  readonly samples: readonly SampleRow[];
  readonly timeGaps: readonly TimeGapRow[];
  readonly clockFixes: readonly ClockFixRow[];
}

/** The rows that the new numbers of a transaction become. @throws KomError KOM_BLOCK_CORRUPT */
export function rowsOf(
  { blocks, receivedAtUs }: ArchiveTransaction,
  plan: CommitPlan,
  offsetsOf: (streamId: string) => SequenceSteps,
): ArchivedRows {
  const samples: SampleRow[] = [];
  const timeGaps: TimeGapRow[] = [];
  const clockFixes: ClockFixRow[] = [];
  for (const [index, { block, dictionary, marks = 0, term = 0 }] of blocks.entries()) {
    const { streamId, firstSequence } = block.header;
    const offsets = offsetsOf(streamId);
    for (const { first, last } of plan.inserts[index] ?? []) {
      for (let sequence = first; sequence <= last; sequence++) {
        if (isClockFixAt(block, sequence - firstSequence)) {
          clockFixes.push({ streamId, sequence, fix: clockFixAt(block, sequence - firstSequence) });
          continue;
        }
        const entry = entryAt(block, sequence - firstSequence);
        const offsetUs = stepAt(offsets, sequence);
        if (isTimeGap(entry)) {
          timeGaps.push({ streamId, sequence, gap: entry, offsetUs });
          continue;
        }
        const tag = dictionary.tags[entry.tagIndex];
        if (tag === undefined) {
          throw new KomError('KOM_BLOCK_CORRUPT', `tag ${entry.tagIndex} is not in its dictionary`);
        }
        const { sourceTimeUs: rawTimeUs, value, quality, cause, deviceTimeUs = null } = entry;
        const movedUs = deviceTimeUs === rawTimeUs ? 0 : offsetUs;
        const times = { sourceTimeUs: rawTimeUs + movedUs, rawTimeUs, receivedAtUs, deviceTimeUs };
        const origin = { streamId, sequence, term, marks, site: dictionary.site, tag: tag.name };
        samples.push({ ...times, value, quality, cause, ...origin });
      }
    }
  }
  return { samples, timeGaps, clockFixes };
}

/** A fix is about this row. */
export function isFixedBy(fix: ArchivedClockFix, { streamId, sequence }: NumberedRow): boolean {
  return streamId === fix.streamId && sequence >= fix.firstSequence && sequence <= fix.lastSequence;
}

/** Time gaps with the times of those moved that a fix is about. */
export function withFix(timeGaps: readonly TimeGapRow[], fix: ArchivedClockFix): TimeGapRow[] {
  return timeGaps.map((row) => (isFixedBy(fix, row) ? { ...row, offsetUs: fix.offsetUs } : row));
}

/** What the rows of samples say of the size of an archive. */
export function sampleStat(
  samples: readonly SampleRow[],
): Pick<ArchiveStat, 'samples' | 'marked' | 'oldestUs' | 'newestUs'> {
  const times = samples.map((row) => row.sourceTimeUs);
  const count = (mark: number): number => samples.filter(({ marks }) => (marks & mark) !== 0).length;
  return {
    samples: samples.length,
    marked: { overlap: count(Mark.overlap), duplicate: count(Mark.duplicate) },
    oldestUs: times.length === 0 ? null : times.reduce((a, b) => Math.min(a, b)),
    newestUs: times.length === 0 ? null : times.reduce((a, b) => Math.max(a, b)),
  };
}

/** By code units, as a database without a language does. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

export function isIn(ranges: readonly RepairedRange[], { streamId, sequence }: NumberedRow): boolean {
  return ranges.some((each) => each.streamId === streamId && each.first <= sequence && sequence <= each.last);
}
