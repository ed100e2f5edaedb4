import { isTimeGapAt, timeGapAt } from '../../domain/block/codec.ts';
import {
  type ClockOffsets,
  clockOffsetAt,
  NO_CLOCK_OFFSETS,
  withClockFix,
} from '../../domain/clock-offsets.ts';
import { type CommitPlan, planCommit } from '../../domain/commit-plan.ts';
import { type Coverage, type CoverageRange, EMPTY_COVERAGE } from '../../domain/coverage.ts';
import { invariant, KomError } from '../../domain/errors.ts';
import { moveTimeGap } from '../../domain/sample.ts';
import type { ArchiveTransaction } from '../../world/archive.ts';
import { SampleAppender } from './append.ts';
import type { Catalog, StreamRow } from './catalog.ts';
import { applyClockFix } from './clock-fixes.ts';
import type { TagIds } from './dictionaries.ts';
import type { Cell, Database } from './duckdb.ts';
import { createSamplesView } from './schema.ts';

/** What the catalog must learn once the transaction is durable. */
interface CatalogChange {
  readonly streams: ReadonlyMap<string, StreamRow>;
  readonly coverage: ReadonlyMap<string, Coverage>;
  readonly clockOffsets: ReadonlyMap<string, ClockOffsets>;
  /** Tables of samples that were made. */
  readonly tables: readonly string[];
}

/** Carries out one transaction and then, only then, tells the catalog. */
export async function commitTransaction(
  transaction: ArchiveTransaction,
  { database, catalog, tagIds }: CommitContext,
): Promise<void> {
  const plan = planCommit((id) => catalog.coverage.get(id) ?? EMPTY_COVERAGE, transaction);
  const streams = changedStreams(transaction, catalog);
  const clockOffsets = changedClockOffsets(transaction, catalog);
  const tables = new Set(catalog.tables);
  const context = { database, catalog, tagIds };
  const writer: TransactionWriter = { ...context, transaction, plan, streams, clockOffsets, tables };
  await database.transaction(async () => {
    await writeStreams(writer);
    await writeClockFixes(writer);
    await writeSamples(writer);
    await writeGaps(writer);
    await writeCoverage(writer);
    if (tables.size > catalog.tables.size) await database.write(createSamplesView([...tables].sort()));
  });
  applyChange(catalog, { streams, coverage: plan.coverage, clockOffsets, tables: [...tables] });
}

export interface CommitContext {
  readonly database: Database;
  readonly catalog: Catalog;
  readonly tagIds: TagIds;
}

interface TransactionWriter extends CommitContext {
  readonly transaction: ArchiveTransaction;
  readonly plan: CommitPlan;
  /** New and changed streams. */
  readonly streams: ReadonlyMap<string, StreamRow>;
  /** Of streams with a fix in this transaction. */
  readonly clockOffsets: ReadonlyMap<string, ClockOffsets>;
  /** Tables of samples, with those that this transaction has made. */
  readonly tables: Set<string>;
}

function changedStreams(transaction: ArchiveTransaction, catalog: Catalog): Map<string, StreamRow> {
  const changed = new Map<string, StreamRow>();
  let nextId = catalog.streams.size + 1;
  for (const stream of transaction.streams) {
    if (catalog.streams.has(stream.streamId) || changed.has(stream.streamId)) continue;
    const { streamId, bootId, startedAtUs, previous, site, process, instance } = stream;
    changed.set(streamId, {
      ...{ id: nextId++, streamId, bootId, startedAtUs, previous, site, process, instance },
      ...{ observedUntilUs: startedAtUs, endedAtUs: null, endedSequence: null, dictionaries: new Set() },
    });
  }
  const current = (streamId: string): StreamRow => {
    const row = changed.get(streamId) ?? catalog.streams.get(streamId);
    if (row === undefined) throw new KomError('KOM_PROTOCOL_STATE', `stream ${streamId} was never started`);
    return row;
  };
  for (const { block } of transaction.blocks) {
    const { streamId, dictionaryHash } = block.header;
    const dictionary = catalog.dictionaries.get(dictionaryHash);
    if (dictionary === undefined) {
      throw new KomError('KOM_PROTOCOL_STATE', `dictionary ${dictionaryHash} was never stored`);
    }
    const row = current(streamId);
    if (row.dictionaries.has(dictionary)) continue;
    changed.set(streamId, { ...row, dictionaries: new Set([...row.dictionaries, dictionary]) });
  }
  for (const { streamId } of [...transaction.gaps, ...(transaction.clockFixes ?? [])]) current(streamId);
  for (const { streamId, untilUs } of transaction.observed) {
    const row = current(streamId);
    if (untilUs > row.observedUntilUs) changed.set(streamId, { ...row, observedUntilUs: untilUs });
  }
  for (const { streamId, lastSequence, atUs } of transaction.ended) {
    const row = current(streamId);
    if (row.endedAtUs === atUs && row.endedSequence === lastSequence) continue;
    changed.set(streamId, { ...row, endedAtUs: atUs, endedSequence: lastSequence });
  }
  return changed;
}

async function writeStreams({ streams, catalog, database }: TransactionWriter): Promise<void> {
  const added: Cell[][] = [];
  const used: Cell[][] = [];
  for (const row of streams.values()) {
    const known = catalog.streams.get(row.streamId);
    const ends = [bigintOrNull(row.endedAtUs), bigintOrNull(row.endedSequence)];
    if (known === undefined) {
      const previous = row.previous === null ? null : JSON.stringify(row.previous);
      const info = [row.id, row.streamId, row.bootId, BigInt(row.startedAtUs), previous];
      const origin = [row.site, row.process, row.instance];
      added.push([...info, ...origin, BigInt(row.observedUntilUs), ...ends]);
    } else {
      await database.write(
        'UPDATE streams SET observed_until_us = ?, ended_us = ?, ended_sequence = ? WHERE id = ?',
        [BigInt(row.observedUntilUs), ...ends, row.id],
      );
    }
    for (const dictionary of row.dictionaries) {
      if (known?.dictionaries.has(dictionary) !== true) used.push([row.id, dictionary]);
    }
  }
  await database.insert('streams', added);
  await database.insert('stream_dictionaries', used);
}

/** What is archived already; the rows of this transaction get their offset as they are written. */
async function writeClockFixes(writer: TransactionWriter): Promise<void> {
  const { transaction, clockOffsets, database, tables } = writer;
  for (const fix of transaction.clockFixes ?? []) {
    await applyClockFix({ database, tables, stream: streamNumber(writer, fix.streamId) }, fix);
  }
  const rows: Cell[][] = [];
  for (const [streamId, offsets] of clockOffsets) {
    const stream = streamNumber(writer, streamId);
    await database.write(`DELETE FROM clock_offsets WHERE stream = ${stream}`);
    for (const { first, last, offsetUs } of offsets) {
      rows.push([stream, BigInt(first), BigInt(last), BigInt(offsetUs)]);
    }
  }
  await database.insert('clock_offsets', rows);
}

async function writeSamples(writer: TransactionWriter): Promise<void> {
  const { transaction, plan, database, catalog, tagIds, tables } = writer;
  const appender = new SampleAppender(database, tables);
  try {
    for (const [index, { block, marks = 0, term = 0 }] of transaction.blocks.entries()) {
      const dictionary = catalog.dictionaries.get(block.header.dictionaryHash);
      invariant(dictionary !== undefined, 'the dictionary of a block was looked up before');
      await appender.append({
        block,
        ranges: plan.inserts[index] ?? [],
        tagIds: await tagIds.of(database, dictionary),
        stream: streamNumber(writer, block.header.streamId),
        receivedAtUs: transaction.receivedAtUs,
        ...{ marks, term, clockOffsets: offsetsOf(writer, block.header.streamId) },
      });
    }
    appender.finish();
  } catch (error) {
    appender.abandon();
    throw error;
  }
}

async function writeGaps(writer: TransactionWriter): Promise<void> {
  const { transaction, plan, database } = writer;
  const receivedUs = BigInt(transaction.receivedAtUs);
  const timeGaps: Cell[][] = [];
  for (const [index, { block }] of transaction.blocks.entries()) {
    const { streamId } = block.header;
    const stream = streamNumber(writer, streamId);
    for (const { first, last } of plan.inserts[index] ?? []) {
      for (let sequence = first; sequence <= last; sequence++) {
        const at = sequence - block.header.firstSequence;
        if (!isTimeGapAt(block, at)) continue;
        const raw = timeGapAt(block, at);
        const gap = moveTimeGap(raw, clockOffsetAt(offsetsOf(writer, streamId), sequence));
        const span = [BigInt(gap.fromUs), BigInt(gap.toUs), gap.reason, bigintOrNull(gap.count ?? null)];
        timeGaps.push([
          ...[stream, BigInt(sequence), receivedUs, gap.station, JSON.stringify(gap.tags)],
          ...[...span, BigInt(raw.fromUs), BigInt(raw.toUs)],
        ]);
      }
    }
  }
  await database.insert('time_gaps', timeGaps);
  await database.insert(
    'sequence_gaps',
    plan.gaps.map((gap): Cell[] => [
      ...[streamNumber(writer, gap.streamId), receivedUs],
      ...[BigInt(gap.firstSequence), BigInt(gap.lastSequence), gap.reason],
      ...[BigInt(gap.fromUs), BigInt(gap.toUs), BigInt(gap.countAtMost)],
    ]),
  );
}

/** Rows are changed in place where a range only grew, which is what nearly every commit does. */
async function writeCoverage(writer: TransactionWriter): Promise<void> {
  const { plan, database, catalog } = writer;
  const added: Cell[][] = [];
  for (const [streamId, coverage] of plan.coverage) {
    const stream = streamNumber(writer, streamId);
    const before = new Map((catalog.coverage.get(streamId) ?? []).map((range) => [range.first, range]));
    for (const range of coverage) {
      const known = before.get(range.first);
      before.delete(range.first);
      if (known === undefined) {
        added.push([stream, BigInt(range.first), BigInt(range.last), range.state]);
      } else if (!sameRange(known, range)) {
        await database.write(
          'UPDATE coverage SET last_sequence = ?, state = ? WHERE stream = ? AND first_sequence = ?',
          [BigInt(range.last), range.state, stream, BigInt(range.first)],
        );
      }
    }
    if (before.size > 0) {
      const gone = [...before.keys()].join(', ');
      await database.write(`DELETE FROM coverage WHERE stream = ${stream} AND first_sequence IN (${gone})`);
    }
  }
  await database.insert('coverage', added);
}

function applyChange(catalog: Catalog, change: CatalogChange): void {
  for (const [streamId, row] of change.streams) {
    catalog.streams.set(streamId, row);
    catalog.streamsById.set(row.id, row);
  }
  for (const [streamId, coverage] of change.coverage) catalog.coverage.set(streamId, coverage);
  for (const [streamId, offsets] of change.clockOffsets) catalog.clockOffsets.set(streamId, offsets);
  for (const table of change.tables) catalog.tables.add(table);
}

function changedClockOffsets(
  { clockFixes = [] }: ArchiveTransaction,
  catalog: Catalog,
): Map<string, ClockOffsets> {
  const changed = new Map<string, ClockOffsets>();
  for (const fix of clockFixes) {
    const before = changed.get(fix.streamId) ?? catalog.clockOffsets.get(fix.streamId) ?? NO_CLOCK_OFFSETS;
    const after = withClockFix(before, fix);
    if (after !== before) changed.set(fix.streamId, after);
  }
  return changed;
}

function offsetsOf({ clockOffsets, catalog }: TransactionWriter, streamId: string): ClockOffsets {
  return clockOffsets.get(streamId) ?? catalog.clockOffsets.get(streamId) ?? NO_CLOCK_OFFSETS;
}

function streamNumber({ streams, catalog }: TransactionWriter, streamId: string): number {
  const row = streams.get(streamId) ?? catalog.streams.get(streamId);
  invariant(row !== undefined, 'the stream of a block or gap was looked up before');
  return row.id;
}

function sameRange(a: CoverageRange, b: CoverageRange): boolean {
  return a.last === b.last && a.state === b.state;
}

function bigintOrNull(value: number | null): bigint | null {
  return value === null ? null : BigInt(value);
}
