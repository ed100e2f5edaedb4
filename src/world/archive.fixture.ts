import { decodeBlock, encodeBlock } from '../domain/block/codec.ts';
import type { Dictionary, DictionaryTag } from '../domain/dictionary.ts';
import type { SequenceGap } from '../domain/gap.ts';
import { Quality } from '../domain/quality.ts';
import type { Entry, Sample, SampleValue } from '../domain/sample.ts';
import type { ArchiveTransaction, SampleQuery } from './archive.ts';

export const STREAM = 'a'.repeat(32);
export const STREAM_2 = 'b'.repeat(32);
export const HASH = 'd'.repeat(32);
/** 2026-11-22T12:00:00Z */
export const T0 = Date.UTC(2026, 10, 22, 12) * 1000;

export function tagOf(name: string, more: Partial<DictionaryTag> = {}): DictionaryTag {
  const station = name.split('.')[0] ?? '';
  return { name, station, class: 'measurement', type: 'float64', unit: '', formerly: [], ...more };
}

export const DICTIONARY: Dictionary = {
  site: 'S',
  process: 'KomA',
  tags: [tagOf('P1.a'), tagOf('P1.b', { type: 'int64', unit: 'kWh' }), tagOf('P2.c', { type: 'text' })],
};

export function sampleOf(at: number, value: SampleValue, more: Partial<Sample> = {}): Sample {
  return { tagIndex: 0, sourceTimeUs: T0 + at, value, quality: Quality.good, cause: 'change', ...more };
}

export function blockOf(
  firstSequence: number,
  entries: readonly Entry[],
  { streamId = STREAM, hash = HASH, dictionary = DICTIONARY } = {},
): ArchiveTransaction['blocks'][number] {
  const options = { streamId, firstSequence, dictionaryHash: hash, sealedMonotonicUs: 0 };
  return { block: decodeBlock(encodeBlock(entries, options)), dictionary };
}

export function streamOf(
  streamId = STREAM,
  more: Partial<ArchiveTransaction['streams'][number]> = {},
): ArchiveTransaction['streams'][number] {
  const info = { streamId, bootId: 'e'.repeat(32), startedAtUs: T0, previous: null };
  return { ...info, site: 'S', process: 'KomA', instance: 1, ...more };
}

export function transactionOf(parts: Partial<ArchiveTransaction>): ArchiveTransaction {
  const none = { streams: [], blocks: [], gaps: [], observed: [], ended: [] };
  return { ...none, receivedAtUs: T0 + 5_000_000, ...parts };
}

export function gapOf(first: number, last: number, more: Partial<SequenceGap> = {}): SequenceGap {
  return {
    ...{ streamId: STREAM, firstSequence: first, lastSequence: last, reason: 'evicted' },
    ...{ fromUs: T0, toUs: T0 + 1000, countAtMost: last - first + 1 },
    ...more,
  };
}

export function allOf(tag: string, more: Partial<SampleQuery> = {}): SampleQuery {
  return { site: 'S', tag, fromUs: 0, toUs: T0 * 2, limit: 10_000, ...more };
}
