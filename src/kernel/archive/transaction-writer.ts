import type { CommitPlan } from '../../domain/commit-plan.ts';
import { invariant } from '../../domain/errors.ts';
import { NO_STEPS, type SequenceSteps } from '../../domain/sequence-steps.ts';
import type { ArchiveTransaction } from '../../world/archive.ts';
import type { Catalog, StepName, StreamRow } from './catalog.ts';
import type { TagIds } from './dictionaries.ts';
import type { Database } from './duckdb.ts';

export type Steps = Readonly<Record<StepName, ReadonlyMap<string, SequenceSteps>>>;

export interface CommitContext {
  readonly database: Database;
  readonly catalog: Catalog;
  readonly tagIds: TagIds;
}

/** What the parts of one transaction write from. */
export interface TransactionWriter extends CommitContext {
  readonly transaction: ArchiveTransaction;
  readonly plan: CommitPlan;
  /** New and changed streams. */
  readonly streams: ReadonlyMap<string, StreamRow>;
  /** New and changed ones. */
  readonly steps: Steps;
  /** Tables of samples, with those that this transaction has made. */
  readonly tables: Set<string>;
}

/** What the clock of a stream was off, with what this transaction says of it. */
export function offsetsOf({ steps, catalog }: TransactionWriter, streamId: string): SequenceSteps {
  return steps['clock-offset'].get(streamId) ?? catalog.steps['clock-offset'].get(streamId) ?? NO_STEPS;
}

/** Small id of a stream that is known, or made known by this transaction. */
export function streamNumber({ streams, catalog }: TransactionWriter, streamId: string): number {
  const row = streams.get(streamId) ?? catalog.streams.get(streamId);
  invariant(row !== undefined, 'the stream of a block or gap was looked up before');
  return row.id;
}
