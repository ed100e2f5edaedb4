import { joinTouching, type SequenceRange, subtract } from './coverage.ts';
import { type SequenceStep, type SequenceSteps, stepAt, stepsWithin } from './sequence-steps.ts';

/** The entry that said it: where, and when on the agent's clock, integer µs. */
export interface ClockFixEntry {
  readonly streamId: string;
  readonly sequence: number;
  readonly atUs: number;
}

/**
 * A correction of the times of a range of a stream: corrected time = raw time + `offsetUs`. Of two fixes of
 * one number the one that was made later holds, whichever came first; one that does not say by which entry
 * it was made holds when it comes.
 */
export interface ArchivedClockFix {
  readonly streamId: string;
  readonly firstSequence: number;
  /** Inclusive. */
  readonly lastSequence: number;
  /** Integer µs; 0 takes an earlier correction back. */
  readonly offsetUs: number;
  readonly by?: ClockFixEntry;
}

/** What a fix says of the numbers of its stream: by how much their raw times are off. */
export function clockStep({ firstSequence, lastSequence, offsetUs }: ArchivedClockFix): SequenceStep {
  return { first: firstSequence, last: lastSequence, value: offsetUs };
}

/**
 * The parts of fixes that hold beside those that are known: of the rest a later one has spoken. `knownOf`:
 * those of a stream's numbers.
 */
export function holdingFixes(
  fixes: readonly ArchivedClockFix[],
  knownOf: (streamId: string) => readonly ArchivedClockFix[],
): ArchivedClockFix[] {
  return fixes.flatMap((fix, at) => {
    const { streamId } = fix;
    const before = fixes.slice(0, at).filter((each) => each.streamId === streamId);
    const later = [...knownOf(streamId), ...before].filter((each) => isMadeLater(each, fix));
    const parts = subtract({ first: fix.firstSequence, last: fix.lastSequence }, rangesOf(later));
    return parts.map(({ first, last }) => ({ ...fix, firstSequence: first, lastSequence: last }));
  });
}

/** By how much the times of a stream's numbers were moved. */
export interface Moved {
  readonly offsets: SequenceSteps;
  /** Of these, what entries said that are known: who gets them moves the same numbers again. */
  readonly told: SequenceSteps;
}

export function movedBy(offsets: SequenceSteps, entries: readonly ArchivedClockFix[]): Moved {
  if (offsets.length === 0) return { offsets, told: offsets };
  const told = rangesOf(entries).flatMap((range) => stepsWithin(offsets, range));
  return { offsets, told: told.filter(({ value }) => value !== 0) };
}

/** What was added to the time of a number that is shown, as far as it has to be taken off again. */
export function toldOffset({ told }: Moved, sequence: number): number {
  return told.length === 0 ? 0 : stepAt(told, sequence);
}

/** A number was moved, and the entry that said so is not known: as it came, it would never be put right. */
export function isMovedUntold({ offsets, told }: Moved, sequence: number): boolean {
  return offsets.length > 0 && stepAt(offsets, sequence) !== stepAt(told, sequence);
}

/** In one stream by its number; a fix of an earlier stream was made after those that this one made itself. */
function isMadeLater({ by }: ArchivedClockFix, than: ArchivedClockFix): boolean {
  if (by === undefined || than.by === undefined) return false;
  if (by.streamId === than.by.streamId) return by.sequence > than.by.sequence;
  if (by.streamId === than.streamId || than.by.streamId === than.streamId)
    return by.streamId !== than.streamId;
  return by.atUs > than.by.atUs;
}

function rangesOf(fixes: readonly ArchivedClockFix[]): SequenceRange[] {
  const ranges = fixes.map(({ firstSequence, lastSequence }) => ({
    first: firstSequence,
    last: lastSequence,
  }));
  return joinTouching(ranges.sort((one, other) => one.first - other.first));
}
