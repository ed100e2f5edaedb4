import { type Block, type DecodedBlock, lastSequence } from '../domain/block/block.ts';
import { decodeBlock, entryAt, isClockFixAt } from '../domain/block/codec.ts';
import { type SequenceRange, subtract } from '../domain/coverage.ts';
import type { Dictionary, DictionaryTag } from '../domain/dictionary.ts';
import { describeError, isKomError, KomError } from '../domain/errors.ts';
import type { SequenceGap } from '../domain/gap.ts';
import { isTimeGap, type Sample, type TimeGap } from '../domain/sample.ts';
import type { RingFacts, RingInspection } from './facts.ts';
import { decodeBlockRecord, positionOf } from './record.ts';
import { type Run, segmentName } from './segment.ts';

const READ_BYTES = 256 * 1024;

/** What of a ring is exported; what is not given does not filter. */
export interface ExportFilter {
  /** Full tag names. A time gap that concerns one of them is exported too. */
  readonly tags?: readonly string[];
  /** Integer µs of the source time, half-open [fromUs, toUs). */
  readonly fromUs?: number;
  readonly toUs?: number;
  /** The beginning of a stream id. */
  readonly stream?: string;
}

export type ExportRow =
  | {
      readonly kind: 'sample';
      readonly streamId: string;
      readonly sequence: number;
      readonly tag: Pick<DictionaryTag, 'name' | 'type'>;
      readonly sample: Sample;
    }
  | { readonly kind: 'time-gap'; readonly streamId: string; readonly sequence: number; readonly gap: TimeGap }
  /** Numbers that are lost, from the ledger; behind all that is held. */
  | { readonly kind: 'sequence-gap'; readonly gap: SequenceGap }
  /** What cannot be exported: a block, all of a segment from a position on, or (`null`) a whole database. */
  | {
      readonly kind: 'unreadable';
      readonly segment: string;
      readonly position: number | null;
      readonly why: string;
    };

/** Everything that a ring holds, in ring order, block by block: memory is that of one read and one block. */
export async function* exportRing(
  inspection: RingInspection,
  filter: ExportFilter = {},
): AsyncGenerator<ExportRow> {
  const facts = await inspection.facts();
  const dictionaries = new Map<string, Dictionary>();
  for (const { place, what } of inspection.damages) {
    yield { kind: 'unreadable', segment: place, position: null, why: what };
  }
  for (const { number, runs } of facts.segments) {
    for (const run of runs) {
      if (isWanted(run, filter)) yield* rowsOfRun({ inspection, dictionaries, filter }, number, run);
    }
  }
  yield* lostRows(facts, filter);
}

interface Export {
  readonly inspection: RingInspection;
  readonly dictionaries: Map<string, Dictionary>;
  readonly filter: ExportFilter;
}

async function* rowsOfRun(
  { inspection, dictionaries, filter }: Export,
  number: number,
  run: Run,
): AsyncGenerator<ExportRow> {
  const segment = segmentName(number);
  let position = run.firstPosition - 1;
  /** The last number that was read, and the last one that was exported. */
  let through = { read: 0, exported: 0 };
  try {
    for await (const record of recordsOf(inspection, number, run)) {
      const before = position;
      position = record.position;
      try {
        const block = record.value === null ? null : blockOf(record.value);
        const next = block === null ? Number.MAX_SAFE_INTEGER : block.header.firstSequence;
        const isSkipped = block === null || position > before + 1;
        const missing = isSkipped ? rangesBetween(run, through.read, next) : [];
        if (missing.length > 0) yield unreadable(segment, before + 1, whyMissing(missing));
        if (block === null) return;
        through = { ...through, read: lastSequence(block.header) };
        if (!isWanted(block.header, filter)) continue;
        const { dictionaryHash: hash } = block.header;
        const dictionary = dictionaries.get(hash) ?? (await inspection.dictionary(hash));
        dictionaries.set(hash, dictionary);
        yield* rowsOf(decodeBlock(block), dictionary, { ...filter, through: through.exported });
        through = { ...through, exported: through.read };
      } catch (error) {
        if (!isKomError(error)) throw error;
        yield unreadable(segment, position, describeError(error));
      }
    }
  } catch (error) {
    if (!isKomError(error)) throw error;
    yield unreadable(segment, position + 1, describeError(error));
  }
}

function unreadable(segment: string, position: number, why: string): ExportRow {
  return { kind: 'unreadable', segment, position, why };
}

/** What a run should hold between two numbers. */
function rangesBetween(run: Run, before: number, next: number): SequenceRange[] {
  const around = [
    { first: 0, last: before },
    { first: next, last: Number.MAX_SAFE_INTEGER },
  ];
  return run.ranges.flatMap((range) => subtract(range, around));
}

function whyMissing(ranges: readonly SequenceRange[]): string {
  return `no block has the numbers ${ranges.map(({ first, last }) => `${first} to ${last}`).join(', ')}`;
}

function blockOf(value: Uint8Array): Block {
  const block = decodeBlockRecord(value);
  if (block === undefined) throw new KomError('KOM_BLOCK_CORRUPT', 'it does not pass its CRC');
  return block;
}

/** The values of a run; `null` behind them where the last ones are not there, though the segment is. */
async function* recordsOf(
  inspection: RingInspection,
  segment: number,
  run: Run,
): AsyncGenerator<{ readonly position: number; readonly value: Uint8Array | null }> {
  let after = run.firstPosition - 1;
  while (after < run.lastPosition) {
    const records = await inspection.records(segment, after, READ_BYTES);
    // Delivered or evicted meanwhile.
    if (records === null) return;
    const own = records.filter(({ key }) => (positionOf(key) ?? Infinity) <= run.lastPosition);
    for (const { key, value } of own) {
      after = positionOf(key) ?? after;
      yield { position: after, value };
    }
    if (own.length < records.length || records.length === 0) break;
  }
  if (after < run.lastPosition) yield { position: run.lastPosition, value: null };
}

/** The numbers up to `through` were exported: blocks that are joined meanwhile hold some of them again. */
function* rowsOf(
  block: DecodedBlock,
  dictionary: Dictionary,
  filter: ExportFilter & { readonly through: number },
): Generator<ExportRow> {
  const { streamId, firstSequence, count } = block.header;
  const names = filter.tags === undefined ? null : new Set(filter.tags);
  const stations = new Set(
    dictionary.tags.filter(({ name }) => names?.has(name) ?? true).map(({ station }) => station),
  );
  for (let at = 0; at < count; at++) {
    const sequence = firstSequence + at;
    if (sequence <= filter.through || isClockFixAt(block, at)) continue;
    const entry = entryAt(block, at);
    if (isTimeGap(entry)) {
      const isOfStation = entry.station === null || stations.has(entry.station);
      const isOfTag = entry.tags.length === 0 || entry.tags.some((name) => names?.has(name) ?? true);
      if (isOfStation && isOfTag && isWithin(entry, filter)) {
        yield { kind: 'time-gap', streamId, sequence, gap: entry };
      }
      continue;
    }
    const tag = dictionary.tags[entry.tagIndex];
    const isNamed = tag !== undefined && (names?.has(tag.name) ?? true);
    const { sourceTimeUs } = entry;
    if (isNamed && isWithin({ fromUs: sourceTimeUs, toUs: sourceTimeUs + 1 }, filter)) {
      yield { kind: 'sample', streamId, sequence, tag, sample: entry };
    }
  }
}

function* lostRows(facts: RingFacts, filter: ExportFilter): Generator<ExportRow> {
  for (const gap of facts.gaps) {
    const span = { ...gap, toUs: Math.max(gap.toUs, gap.fromUs + 1) };
    if (isWanted(span, filter)) yield { kind: 'sequence-gap', gap };
  }
}

/** A block, run or gap may hold something of what is asked for. Spans of blocks include their end. */
function isWanted(
  { streamId, fromUs, toUs }: { readonly streamId: string; readonly fromUs: number; readonly toUs: number },
  filter: ExportFilter,
): boolean {
  return streamId.startsWith(filter.stream ?? '') && isWithin({ fromUs, toUs: toUs + 1 }, filter);
}

function isWithin(span: { readonly fromUs: number; readonly toUs: number }, filter: ExportFilter): boolean {
  const { fromUs = Number.NEGATIVE_INFINITY, toUs = Number.POSITIVE_INFINITY } = filter;
  return span.toUs > fromUs && span.fromUs < toUs;
}
