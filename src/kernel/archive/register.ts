import type { ArchivedClockFix } from '../../domain/clock-offsets.ts';
import type { Coverage } from '../../domain/coverage.ts';
import type { SequenceSteps } from '../../domain/sequence-steps.ts';
import type { ArchivedStream, ArchivedTag } from '../../world/archive.ts';

/** A stream as a database has it; coverage apart, because it changes far more often. */
export interface StreamRow extends Omit<ArchivedStream, 'coverage'> {
  /** Small number that rows carry instead of the stream id. */
  readonly id: number;
  readonly endedSequence: number | null;
  /** Ids of the dictionaries that its blocks used. */
  readonly dictionaries: ReadonlySet<number>;
}

/** What is the same for long runs of a stream's numbers. */
export const STEP_NAMES = ['clock-offset', 'term'] as const;
export type StepName = (typeof STEP_NAMES)[number];

export interface TagRow extends ArchivedTag {
  readonly id: number;
}

/**
 * Everything small of a database, in memory: a commit reads nothing of it. It changes only after a
 * transaction is durable, and is thrown away and read again after one of which nobody knows what became.
 */
export interface Register {
  /** By site and name, see `tagKey`. */
  readonly tags: Map<string, TagRow>;
  readonly tagsById: Map<number, TagRow>;
  /** Ids by content hash. */
  readonly dictionaries: Map<string, number>;
  readonly streams: Map<string, StreamRow>;
  readonly streamsById: Map<number, StreamRow>;
  readonly coverage: Map<string, Coverage>;
  /** By stream id. */
  readonly steps: Readonly<Record<StepName, Map<string, SequenceSteps>>>;
  /** By stream id of the numbers that they are about, with the entries that said it. */
  readonly clockFixes: Map<string, readonly ArchivedClockFix[]>;
}

/** New and changed steps. */
export type Steps = Readonly<Record<StepName, ReadonlyMap<string, SequenceSteps>>>;

export function tagKey(site: string, name: string): string {
  return `${site}\n${name}`;
}
