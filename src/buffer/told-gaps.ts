/** The journal of losses that a Kernel knows of. Values, changed by making new ones. */
import type { SequenceGap } from '../domain/gap.ts';

/** More entries than this, or more bytes of them, and the oldest go. */
export const TOLD_GAPS_MAX = 1000;
const TOLD_BYTES_MAX = 512 * 1024;
/** An entry in the meta database: its key, its CRC, and JSON text of numbers, an identity and a reason. */
const TOLD_GAP_BYTES = 384;

/** A gap record that a Kernel acknowledged. */
export interface ToldGap extends SequenceGap {
  /** Ascending, never used twice while the journal lasts. */
  readonly serial: number;
  /** Wall time of the commit that found it acknowledged, integer µs. */
  readonly toldAtUs: number;
}

/** How far the journal and the totals go back. */
export interface LedgerSpan {
  /** Wall time at which they began, integer µs. */
  readonly sinceUs: number;
  /** They began anew because the meta database was lost or damaged: what was told before is in neither. */
  readonly isRebuilt: boolean;
  /** Entries that the journal had no room for any more; the totals count them. */
  readonly pushedOut: number;
}

export interface Journal {
  /** By serial. */
  readonly told: readonly ToldGap[];
  readonly pushedOut: number;
}

/** The journal with some more gaps, and without the oldest ones that these push out. */
export function withTold(journal: Journal, gaps: readonly SequenceGap[], atUs: number): Journal {
  if (gaps.length === 0) return journal;
  const first = (journal.told.at(-1)?.serial ?? 0) + 1;
  const all = [
    ...journal.told,
    ...gaps.map((gap, at): ToldGap => ({ ...gap, serial: first + at, toldAtUs: atUs })),
  ];
  const surplus = Math.max(
    0,
    all.length - Math.min(TOLD_GAPS_MAX, Math.floor(TOLD_BYTES_MAX / TOLD_GAP_BYTES)),
  );
  return { told: all.slice(surplus), pushedOut: journal.pushedOut + surplus };
}
