import { clockStep } from '../../domain/clock-offsets.ts';
import { planCommit } from '../../domain/commit-plan.ts';
import { countOf, EMPTY_COVERAGE } from '../../domain/coverage.ts';
import { invariant } from '../../domain/errors.ts';
import { arrivedBlocks, type LateRange, lateRangesOf } from '../../domain/late-range.ts';
import { NO_STEPS, withStep } from '../../domain/sequence-steps.ts';
import type { ArchiveTransaction } from '../../world/archive.ts';
import { SampleAppender } from './append.ts';
import { arrivedClockFixes, arrivedTimeGaps, isInserted } from './arrived.ts';
import type { Catalog } from './catalog.ts';
import {
  applyToRegister,
  changedSteps,
  changedStreams,
  type RegisterChange,
  withHoldingFixes,
} from './changed.ts';
import { type ChangeLog, streamCells, writeChanges } from './changes.ts';
import { applyClockFix, applyMovedStart } from './clock-fixes.ts';
import { readTagIds } from './dictionaries.ts';
import type { Cell } from './duckdb.ts';
import { writeLate } from './late.ts';
import { STEP_NAMES } from './register.ts';
import { offsetsOf, startMovedBy, streamNumber } from './register-work.ts';
import { deleteRepaired } from './repair.ts';
import { markRivals } from './rivals.ts';
import { createSamplesViews } from './schema.ts';
import type { CommitContext, TransactionWriter } from './transaction-writer.ts';

/** What the catalog must learn once the transaction is durable. */
interface CatalogChange extends RegisterChange {
  readonly withDeviceTimes: ReadonlySet<number>;
  /** Tables of samples. */
  readonly tables: readonly string[];
}

/** Carries out one transaction and then, only then, tells the catalog. Returns what it completed late. */
export async function commitTransaction(
  given: ArchiveTransaction,
  { database, catalog, tagIds }: CommitContext,
): Promise<readonly LateRange[]> {
  const transaction = withHoldingFixes(given, catalog);
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
    await writeClockFixEntries(writer);
    changes = await writeChanges(writer);
    if (late.length > 0) lateRows = await writeLate(database, catalog.lateRows, late);
    if (tables.size > catalog.tables.size) await database.write(createSamplesViews([...tables].sort()));
  });
  if (changes !== undefined) catalog.changes = changes;
  catalog.lateRows = lateRows;
  const { clockFixes = [] } = given;
  const change = {
    streams,
    coverage: plan.coverage,
    steps,
    clockFixes,
    withDeviceTimes,
    tables: [...tables],
  };
  applyChange(catalog, change);
  return late;
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
    const moved = startMovedBy(writer, fix, before);
    if (moved !== null) await applyMovedStart(database, moved);
    offsets.set(fix.streamId, withStep(before, clockStep(fix)));
  }
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
        tagIds: await tagIds.of(dictionary, () => readTagIds(database, dictionary)),
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
  const arrived = arrivedTimeGaps(transaction, plan, (streamId) => offsetsOf(writer, streamId));
  const timeGaps = arrived.map(({ streamId, sequence, gap, raw }): Cell[] => {
    const span = [BigInt(gap.fromUs), BigInt(gap.toUs), gap.reason, bigintOrNull(gap.count ?? null)];
    const isOneClock = raw.isOneClock === true;
    return [
      ...[streamNumber(writer, streamId), BigInt(sequence), receivedUs, gap.station],
      ...[JSON.stringify(gap.tags), ...span, BigInt(raw.fromUs), BigInt(raw.toUs), isOneClock],
    ];
  });
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

async function writeClockFixEntries(writer: TransactionWriter): Promise<void> {
  const arrived = arrivedClockFixes(writer.transaction, writer.plan);
  const rows = arrived.map(({ streamId, sequence, fix }): Cell[] => [
    ...[streamNumber(writer, streamId), BigInt(sequence), BigInt(fix.atUs), fix.streamId],
    ...[BigInt(fix.firstSequence), BigInt(fix.lastSequence), BigInt(fix.offsetUs)],
  ]);
  await writer.database.insert('clock_fixes', rows);
}

function applyChange(catalog: Catalog, change: CatalogChange): void {
  applyToRegister(catalog, change);
  for (const stream of change.withDeviceTimes) catalog.withDeviceTimes.add(stream);
  for (const table of change.tables) catalog.tables.add(table);
}

export function bigintOrNull(value: number | null): bigint | null {
  return value === null ? null : BigInt(value);
}
