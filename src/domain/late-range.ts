import { type DecodedBlock, ENTRY_KIND_MASK, EntryKind } from './block/block.ts';
import type { SequenceRange } from './coverage.ts';
import type { Dictionary } from './dictionary.ts';

/** What comes so long after its own time is late: a report on that time may be made already. µs */
export const LATE_AFTER_US = 60_000_000;

/** Late samples of a station with no longer pause between them belong to one range. µs */
export const PAUSE_MAX_US = 60_000_000;

/**
 * A past range of a station that was completed after the fact: what was calculated from it is to be again.
 */
export interface LateRange {
  readonly site: string;
  readonly process: string;
  readonly station: string;
  /** Of source times, half-open; integer µs. */
  readonly fromUs: number;
  readonly toUs: number;
  /** When the first and the last sample of it came, integer µs. */
  readonly sinceUs: number;
  readonly completedAtUs: number;
}

/** A block, and its numbers that are new. */
export interface ArrivedBlock {
  readonly block: DecodedBlock;
  readonly dictionary: Dictionary;
  readonly ranges: readonly SequenceRange[];
}

/** The blocks of a transaction with what of them is new, by position. */
export function arrivedBlocks(
  { blocks }: { readonly blocks: readonly Omit<ArrivedBlock, 'ranges'>[] },
  { inserts }: { readonly inserts: readonly (readonly SequenceRange[])[] },
): ArrivedBlock[] {
  return blocks.map(({ block, dictionary }, at) => ({ block, dictionary, ranges: inserts[at] ?? [] }));
}

/** The late ones among the samples that came at a time, a range for each station. */
export function lateRangesOf(arrived: readonly ArrivedBlock[], receivedAtUs: number): LateRange[] {
  const ranges: LateRange[] = [];
  for (const { block, dictionary, ranges: inserts } of arrived) {
    if (inserts.length === 0 || block.header.fromUs >= receivedAtUs - LATE_AFTER_US) continue;
    const { site, process } = dictionary;
    for (const [station, { fromUs, toUs }] of lateSpans(
      { block, dictionary, ranges: inserts },
      receivedAtUs,
    )) {
      const span = { fromUs, toUs: toUs + 1, sinceUs: receivedAtUs, completedAtUs: receivedAtUs };
      ranges.push({ site, process, station, ...span });
    }
  }
  return mergeLate(ranges);
}

function lateSpans(
  { block, dictionary, ranges }: ArrivedBlock,
  receivedAtUs: number,
): Map<string, { readonly fromUs: number; readonly toUs: number }> {
  const firsts = new Float64Array(dictionary.tags.length).fill(Number.POSITIVE_INFINITY);
  const lasts = new Float64Array(dictionary.tags.length).fill(Number.NEGATIVE_INFINITY);
  const { firstSequence } = block.header;
  for (const { first, last } of ranges) {
    for (let at = first - firstSequence; at <= last - firstSequence; at++) {
      const timeUs = block.sourceTimesUs[at] as number;
      if (timeUs >= receivedAtUs - LATE_AFTER_US) continue;
      if (((block.kinds[at] as number) & ENTRY_KIND_MASK) > EntryKind.text) continue;
      const tag = block.tagIndexes[at] as number;
      if (timeUs < (firsts[tag] as number)) firsts[tag] = timeUs;
      if (timeUs > (lasts[tag] as number)) lasts[tag] = timeUs;
    }
  }
  const spans = new Map<string, { fromUs: number; toUs: number }>();
  for (const [index, { station }] of dictionary.tags.entries()) {
    const fromUs = firsts[index] as number;
    const toUs = lasts[index] as number;
    if (fromUs > toUs) continue;
    const span = spans.get(station) ?? { fromUs, toUs };
    spans.set(station, { fromUs: Math.min(span.fromUs, fromUs), toUs: Math.max(span.toUs, toUs) });
  }
  return spans;
}

/** One range for what came to a station without a pause; by the time when it came. */
export function mergeLate(ranges: readonly LateRange[]): LateRange[] {
  const merged: LateRange[] = [];
  const open = new Map<string, number>();
  for (const range of ranges.toSorted((a, b) => a.sinceUs - b.sinceUs)) {
    const key = [range.site, range.process, range.station].join('\n');
    const at = open.get(key) ?? -1;
    const before = merged[at];
    if (before === undefined || range.sinceUs - before.completedAtUs > PAUSE_MAX_US) {
      open.set(key, merged.push(range) - 1);
      continue;
    }
    merged[at] = {
      ...before,
      fromUs: Math.min(before.fromUs, range.fromUs),
      toUs: Math.max(before.toUs, range.toUs),
      completedAtUs: Math.max(before.completedAtUs, range.completedAtUs),
    };
  }
  return merged;
}
