import { type Block, type DecodedBlock, lastSequence } from '../domain/block/block.ts';
import { decodeBlock, entryAt, isClockFixAt } from '../domain/block/codec.ts';
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
  /** A block that cannot be exported, or all of a segment from a position on. */
  | {
      readonly kind: 'unreadable';
      readonly segment: string;
      readonly position: number;
      readonly why: string;
    };

/** Everything that a ring holds, in ring order, block by block: memory is that of one read and one block. */
export async function* exportRing(
  inspection: RingInspection,
  filter: ExportFilter = {},
): AsyncGenerator<ExportRow> {
  const facts = await inspection.facts();
  const dictionaries = new Map<string, Dictionary>();
  for (const segment of facts.segments) {
    const runs = segment.runs.filter((run) => isWanted(run, filter));
    for (const run of runs) {
      let position = run.firstPosition;
      let through = 0;
      const unreadable = (error: unknown): ExportRow => {
        if (!isKomError(error)) throw error;
        return {
          kind: 'unreadable',
          segment: segmentName(segment.number),
          position,
          why: describeError(error),
        };
      };
      try {
        for await (const record of recordsOf(inspection, segment.number, run)) {
          position = record.position;
          try {
            const block = blockOf(record.value);
            if (!isWanted(block.header, filter)) continue;
            const { dictionaryHash: hash } = block.header;
            const dictionary = dictionaries.get(hash) ?? (await inspection.dictionary(hash));
            dictionaries.set(hash, dictionary);
            yield* rowsOf(decodeBlock(block), dictionary, { ...filter, through });
            through = lastSequence(block.header);
          } catch (error) {
            yield unreadable(error);
          }
        }
      } catch (error) {
        yield unreadable(error);
      }
    }
  }
  yield* lostRows(facts, filter);
}

function blockOf(value: Uint8Array): Block {
  const block = decodeBlockRecord(value);
  if (block === undefined) throw new KomError('KOM_BLOCK_CORRUPT', 'it does not pass its CRC');
  return block;
}

async function* recordsOf(inspection: RingInspection, segment: number, run: Run) {
  let after = run.firstPosition - 1;
  while (after < run.lastPosition) {
    const records = await inspection.records(segment, after, READ_BYTES);
    if (records === null || records.length === 0) return;
    for (const { key, value } of records) {
      const position = positionOf(key) ?? after + 1;
      if (position > run.lastPosition) return;
      after = position;
      yield { position, value };
    }
  }
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
