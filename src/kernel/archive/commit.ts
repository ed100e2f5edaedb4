import { lastSequence } from '../../domain/block/block.ts';
import { isTimeGapAt, timeGapAt } from '../../domain/block/codec.ts';
import { type ArchivedClockFix, clockStep } from '../../domain/clock-offsets.ts';
import { type CommitPlan, planCommit } from '../../domain/commit-plan.ts';
import { type Coverage, countOf, EMPTY_COVERAGE } from '../../domain/coverage.ts';
import { invariant, KomError } from '../../domain/errors.ts';
import { arrivedBlocks, type LateRange, lateRangesOf } from '../../domain/late-range.ts';
import { movedStart } from '../../domain/moved-start.ts';
import { observedAfter } from '../../domain/observed.ts';
import { moveTimeGap } from '../../domain/sample.ts';
import {
  NO_STEPS,
  type SequenceStep,
  type SequenceSteps,
  stepAt,
  withStep,
} from '../../domain/sequence-steps.ts';
import { type ArchiveTransaction, isSameOrigin } from '../../world/archive.ts';
import { SampleAppender } from './append.ts';
import type { Catalog, StepName, StreamRow } from './catalog.ts';
import { type ChangeLog, streamCells, writeChanges } from './changes.ts';
import { applyClockFix, applyMovedStart } from './clock-fixes.ts';
import type { Cell } from './duckdb.ts';
import { writeLate } from './late.ts';
import { deleteRepaired } from './repair.ts';
import { markRivals } from './rivals.ts';
import { createSamplesViews } from './schema.ts';
import {
  type CommitContext,
  offsetsOf,
  type Steps,
  streamNumber,
  type TransactionWriter,
} from './transaction-writer.ts';

const STEP_NAMES = ['clock-offset', 'term'] as const satisfies readonly StepName[];

/** What the catalog must learn once the transaction is durable. */
interface CatalogChange {
  readonly streams: ReadonlyMap<string, StreamRow>;
  readonly coverage: ReadonlyMap<string, Coverage>;
  readonly steps: Steps;
  readonly withDeviceTimes: ReadonlySet<number>;
  /** Tables of samples. */
  readonly tables: readonly string[];
}

/** Carries out one transaction and then, only then, tells the catalog. Returns what it completed late. */
export async function commitTransaction(
  transaction: ArchiveTransaction,
  { database, catalog, tagIds }: CommitContext,
): Promise<readonly LateRange[]> {
  const plan = planCommit((id) => catalog.coverage.get(id) ?? EMPTY_COVERAGE, transaction);
  const streams = changedStreams(transaction, catalog);
  const steps = changedSteps(transaction, catalog);
  const tables = new Set(catalog.tables);
  const context = { database, catalog, tagIds };
  const writer: TransactionWriter = { ...context, transaction, plan, streams, steps, tables };
  let withDeviceTimes: ReadonlySet<number> = new Set();
  let changes: ChangeLog | undefined;
  let { lateRows } = catalog;
  const late = lateRangesOf(arrivedBlocks(transaction, plan), transaction.receivedAtUs);
  await database.transaction(async () => {
    await writeStreams(writer);
    await writeClockFixes(writer);
    await writeSteps(writer);
    const number = (streamId: string): number => streamNumber(writer, streamId);
    await deleteRepaired(database, plan.repairs, { tables: catalog.tables, streamNumber: number });
    await writeSamples(writer);
    await markRivals(writer);
    withDeviceTimes = await writeDeviceTimes(writer);
    await writeGaps(writer);
    changes = await writeChanges(writer);
    if (late.length > 0) lateRows = await writeLate(database, catalog.lateRows, late);
    if (tables.size > catalog.tables.size) await database.write(createSamplesViews([...tables].sort()));
  });
  if (changes !== undefined) catalog.changes = changes;
  catalog.lateRows = lateRows;
  const change = { streams, coverage: plan.coverage, steps, withDeviceTimes, tables: [...tables] };
  applyChange(catalog, change);
  return late;
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
  for (const said of transaction.observed) {
    const row = current(said.streamId);
    const observedUntilUs = observedAfter(row.observedUntilUs, said);
    if (observedUntilUs !== row.observedUntilUs) changed.set(said.streamId, { ...row, observedUntilUs });
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
    if (known === undefined) added.push(streamCells(row));
    for (const dictionary of row.dictionaries) {
      if (known?.dictionaries.has(dictionary) !== true) used.push([row.id, dictionary]);
    }
  }
  await database.insert('streams', added);
  await database.insert('stream_dictionaries', used);
}

/** What is archived already; the rows of this transaction get their offset as they are written. */
async function writeClockFixes(writer: TransactionWriter): Promise<void> {
  const { transaction, catalog, database, tables } = writer;
  const offsets = new Map(catalog.steps['clock-offset']);
  for (const fix of transaction.clockFixes ?? []) {
    const before = offsets.get(fix.streamId) ?? NO_STEPS;
    const stream = streamNumber(writer, fix.streamId);
    await applyClockFix({ database, tables, stream, offsets: before }, fix);
    await moveStart(writer, fix, before);
    offsets.set(fix.streamId, withStep(before, clockStep(fix)));
  }
}

async function moveStart(
  writer: TransactionWriter,
  fix: ArchivedClockFix,
  offsets: SequenceSteps,
): Promise<void> {
  const { streams, catalog, database } = writer;
  const all = new Map([...catalog.streams, ...streams]);
  const stream = all.get(fix.streamId);
  const moved = stream === undefined ? null : movedStart(stream, offsets, fix);
  if (stream === undefined || moved === null) return;
  const ids = [...all.values()].filter((each) => isSameOrigin(each, stream)).map(({ id }) => id);
  await applyMovedStart(database, ids, moved);
}

async function writeSteps(writer: TransactionWriter): Promise<void> {
  const { steps, database } = writer;
  const rows: Cell[][] = [];
  for (const name of STEP_NAMES) {
    for (const [streamId, changed] of steps[name]) {
      const stream = streamNumber(writer, streamId);
      await database.write(`DELETE FROM sequence_values WHERE stream = ${stream} AND name = '${name}'`);
      for (const { first, last, value } of changed) {
        rows.push([stream, name, BigInt(first), BigInt(last), BigInt(value)]);
      }
    }
  }
  await database.insert('sequence_values', rows);
}

/** Returns the small ids of the streams that got some. */
async function writeDeviceTimes(writer: TransactionWriter): Promise<ReadonlySet<number>> {
  const { transaction, plan, database } = writer;
  const rows: Cell[][] = [];
  const streams = new Set<number>();
  for (const [index, { block }] of transaction.blocks.entries()) {
    if (block.deviceTimesUs.size === 0) continue;
    const stream = streamNumber(writer, block.header.streamId);
    for (const [at, deviceUs] of block.deviceTimesUs) {
      const sequence = block.header.firstSequence + at;
      if (deviceUs === block.sourceTimesUs[at] || !isInserted(plan, index, sequence)) continue;
      rows.push([stream, BigInt(sequence), BigInt(deviceUs)]);
      streams.add(stream);
    }
  }
  await database.insert('device_times', rows);
  return streams;
}

async function writeSamples(writer: TransactionWriter): Promise<void> {
  const { transaction, plan, database, catalog, tagIds, tables } = writer;
  const appender = new SampleAppender(database, tables, countOf(plan.inserts.flat()));
  try {
    for (const [index, { block, marks = 0 }] of transaction.blocks.entries()) {
      const dictionary = catalog.dictionaries.get(block.header.dictionaryHash);
      invariant(dictionary !== undefined, 'the dictionary of a block was looked up before');
      await appender.append({
        block,
        ranges: plan.inserts[index] ?? [],
        tagIds: await tagIds.of(database, dictionary),
        stream: streamNumber(writer, block.header.streamId),
        receivedAtUs: transaction.receivedAtUs,
        ...{ marks, clockOffsets: offsetsOf(writer, block.header.streamId) },
      });
    }
    await appender.finish();
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
    // A time gap is a text of its block.
    if (block.texts.size === 0) continue;
    const { streamId } = block.header;
    const stream = streamNumber(writer, streamId);
    for (const at of block.texts.keys()) {
      const sequence = block.header.firstSequence + at;
      if (!isTimeGapAt(block, at) || !isInserted(plan, index, sequence)) continue;
      const raw = timeGapAt(block, at);
      const gap = moveTimeGap(raw, stepAt(offsetsOf(writer, streamId), sequence));
      const span = [BigInt(gap.fromUs), BigInt(gap.toUs), gap.reason, bigintOrNull(gap.count ?? null)];
      timeGaps.push([
        ...[stream, BigInt(sequence), receivedUs, gap.station, JSON.stringify(gap.tags)],
        ...[...span, BigInt(raw.fromUs), BigInt(raw.toUs)],
      ]);
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

/** The block of this index brings a number that was not covered. */
function isInserted({ inserts }: CommitPlan, index: number, sequence: number): boolean {
  return inserts[index]?.some(({ first, last }) => first <= sequence && sequence <= last) ?? false;
}

function applyChange(catalog: Catalog, change: CatalogChange): void {
  for (const [streamId, row] of change.streams) {
    catalog.streams.set(streamId, row);
    catalog.streamsById.set(row.id, row);
  }
  for (const [streamId, coverage] of change.coverage) catalog.coverage.set(streamId, coverage);
  for (const name of STEP_NAMES) {
    for (const [streamId, steps] of change.steps[name]) catalog.steps[name].set(streamId, steps);
  }
  for (const stream of change.withDeviceTimes) catalog.withDeviceTimes.add(stream);
  for (const table of change.tables) catalog.tables.add(table);
}

function changedSteps(transaction: ArchiveTransaction, catalog: Catalog): Steps {
  const changed = {
    'clock-offset': new Map<string, SequenceSteps>(),
    term: new Map<string, SequenceSteps>(),
  };
  const lay = (name: StepName, streamId: string, step: SequenceStep): void => {
    const before = changed[name].get(streamId) ?? catalog.steps[name].get(streamId) ?? NO_STEPS;
    const after = withStep(before, step);
    if (after !== before) changed[name].set(streamId, after);
  };
  for (const fix of transaction.clockFixes ?? []) lay('clock-offset', fix.streamId, clockStep(fix));
  for (const { block, term = 0 } of transaction.blocks) {
    const { streamId, firstSequence } = block.header;
    if (term > 0)
      lay('term', streamId, { first: firstSequence, last: lastSequence(block.header), value: term });
  }
  return changed;
}

export function bigintOrNull(value: number | null): bigint | null {
  return value === null ? null : BigInt(value);
}
