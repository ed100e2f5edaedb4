import { entryAt, isClockFixAt } from '../../domain/block/codec.ts';
import type { CommitPlan } from '../../domain/commit-plan.ts';
import { KomError } from '../../domain/errors.ts';
import { isTimeGap, type TimeGap } from '../../domain/sample.ts';
import { type SequenceSteps, stepAt } from '../../domain/sequence-steps.ts';
import type { ArchivedSample, ArchiveTransaction } from '../archive.ts';

export type SampleRow = ArchivedSample & { readonly site: string; readonly tag: string };

export interface TimeGapRow {
  readonly streamId: string;
  readonly sequence: number;
  /** As it came. */
  readonly gap: TimeGap;
  readonly offsetUs: number;
}

interface ArchivedRows {
  readonly samples: readonly SampleRow[];
  readonly timeGaps: readonly TimeGapRow[];
  /** Numbers that are neither. */
  readonly clockFixNumbers: readonly { readonly streamId: string; readonly sequence: number }[];
}

/** The rows that the new numbers of a transaction become. @throws KomError KOM_BLOCK_CORRUPT */
export function rowsOf(
  { blocks, receivedAtUs }: ArchiveTransaction,
  plan: CommitPlan,
  offsetsOf: (streamId: string) => SequenceSteps,
): ArchivedRows {
  const samples: SampleRow[] = [];
  const timeGaps: TimeGapRow[] = [];
  const clockFixNumbers: { readonly streamId: string; readonly sequence: number }[] = [];
  for (const [index, { block, dictionary, marks = 0, term = 0 }] of blocks.entries()) {
    const { streamId, firstSequence } = block.header;
    const offsets = offsetsOf(streamId);
    for (const { first, last } of plan.inserts[index] ?? []) {
      for (let sequence = first; sequence <= last; sequence++) {
        if (isClockFixAt(block, sequence - firstSequence)) {
          clockFixNumbers.push({ streamId, sequence });
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
  return { samples, timeGaps, clockFixNumbers };
}
