import { lastSequence } from '../../domain/block/block.ts';
import { type ArchivedClockFix, clockStep, holdingFixes } from '../../domain/clock-offsets.ts';
import type { Coverage, CoverageRange } from '../../domain/coverage.ts';
import { KomError } from '../../domain/errors.ts';
import { observedAfter } from '../../domain/observed.ts';
import { NO_STEPS, type SequenceStep, type SequenceSteps, withStep } from '../../domain/sequence-steps.ts';
import type { ArchiveTransaction } from '../../world/archive.ts';
import { type Register, STEP_NAMES, type StepName, type Steps, type StreamRow } from './register.ts';

/** What the register must learn once a transaction is durable. */
export interface RegisterChange {
  readonly streams: ReadonlyMap<string, StreamRow>;
  readonly coverage: ReadonlyMap<string, Coverage>;
  readonly steps: Steps;
  /** As they were given, with those that a later one had overruled. */
  readonly clockFixes: readonly ArchivedClockFix[];
}

/** The transaction with those parts of its clock fixes that hold. */
export function withHoldingFixes(transaction: ArchiveTransaction, register: Register): ArchiveTransaction {
  const { clockFixes = [] } = transaction;
  if (clockFixes.length === 0) return transaction;
  const known = (streamId: string) => register.clockFixes.get(streamId) ?? [];
  return { ...transaction, clockFixes: holdingFixes(clockFixes, known) };
}

export function applyToRegister(register: Register, change: RegisterChange): void {
  for (const [streamId, row] of change.streams) {
    register.streams.set(streamId, row);
    register.streamsById.set(row.id, row);
  }
  for (const [streamId, coverage] of change.coverage) register.coverage.set(streamId, coverage);
  for (const name of STEP_NAMES) {
    for (const [streamId, steps] of change.steps[name]) register.steps[name].set(streamId, steps);
  }
  for (const fix of change.clockFixes) rememberFix(register, fix);
}

/** One that does not say by which entry it was made overrules nothing. */
export function rememberFix({ clockFixes }: Pick<Register, 'clockFixes'>, fix: ArchivedClockFix): void {
  const { streamId, by } = fix;
  if (by === undefined) return;
  const isSame = ({ by: other }: ArchivedClockFix): boolean =>
    other?.streamId === by.streamId && other.sequence === by.sequence;
  const others = (clockFixes.get(streamId) ?? []).filter((each) => !isSame(each));
  clockFixes.set(streamId, [...others, fix]);
}

/**
 * Streams that a transaction makes known or changes.
 * @throws KomError KOM_PROTOCOL_STATE if a stream or dictionary was never made known
 */
export function changedStreams(transaction: ArchiveTransaction, register: Register): Map<string, StreamRow> {
  const changed = new Map<string, StreamRow>();
  let nextId = register.streams.size + 1;
  for (const stream of transaction.streams) {
    if (register.streams.has(stream.streamId) || changed.has(stream.streamId)) continue;
    const { streamId, bootId, startedAtUs, previous, site, process, instance } = stream;
    changed.set(streamId, {
      ...{ id: nextId++, streamId, bootId, startedAtUs, previous, site, process, instance },
      ...{ observedUntilUs: startedAtUs, endedAtUs: null, endedSequence: null, dictionaries: new Set() },
    });
  }
  const current = (streamId: string): StreamRow => {
    const row = changed.get(streamId) ?? register.streams.get(streamId);
    if (row === undefined) throw new KomError('KOM_PROTOCOL_STATE', `stream ${streamId} was never started`);
    return row;
  };
  for (const { block } of transaction.blocks) {
    const { streamId, dictionaryHash } = block.header;
    const dictionary = register.dictionaries.get(dictionaryHash);
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

/** Steps that a transaction changes. */
export function changedSteps(transaction: ArchiveTransaction, register: Register): Steps {
  const changed = {
    'clock-offset': new Map<string, SequenceSteps>(),
    term: new Map<string, SequenceSteps>(),
  };
  const lay = (name: StepName, streamId: string, step: SequenceStep): void => {
    const before = changed[name].get(streamId) ?? register.steps[name].get(streamId) ?? NO_STEPS;
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

/** What is to be written of a coverage that changed, by the first numbers of its ranges. */
export interface CoverageRows {
  /** Ranges that were not there, or not so. */
  readonly changed: readonly CoverageRange[];
  /** First numbers of ranges that are gone. */
  readonly gone: readonly number[];
}

/** The ranges that are not as they were. */
export function coverageRows(before: Coverage, after: Coverage): CoverageRows {
  const known = new Map(before.map((range) => [range.first, range]));
  const changed: CoverageRange[] = [];
  for (const range of after) {
    const old = known.get(range.first);
    known.delete(range.first);
    if (old?.last === range.last && old.state === range.state) continue;
    changed.push(range);
  }
  return { changed, gone: [...known.keys()] };
}
