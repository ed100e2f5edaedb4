import type { ArchivedClockFix } from '../../domain/clock-offsets.ts';
import type { CommitPlan } from '../../domain/commit-plan.ts';
import { invariant } from '../../domain/errors.ts';
import { type MovedStart, movedStart } from '../../domain/moved-start.ts';
import { NO_STEPS, type SequenceSteps } from '../../domain/sequence-steps.ts';
import { type ArchiveTransaction, isSameOrigin } from '../../world/archive.ts';
import type { Register, Steps, StreamRow } from './register.ts';

/** What is known of one transaction while it is carried out, whatever the database. */
export interface RegisterWork {
  /** As it was before. */
  readonly catalog: Register;
  readonly transaction: ArchiveTransaction;
  readonly plan: CommitPlan;
  /** New and changed streams. */
  readonly streams: ReadonlyMap<string, StreamRow>;
  readonly steps: Steps;
}

/** What the clock of a stream was off, with what this transaction says of it. */
export function offsetsOf({ steps, catalog }: RegisterWork, streamId: string): SequenceSteps {
  return steps['clock-offset'].get(streamId) ?? catalog.steps['clock-offset'].get(streamId) ?? NO_STEPS;
}

/** Small id of a stream that is known, or made known by this transaction. */
export function streamNumber({ streams, catalog }: RegisterWork, streamId: string): number {
  const row = streams.get(streamId) ?? catalog.streams.get(streamId);
  invariant(row !== undefined, 'the stream of a block or gap was looked up before');
  return row.id;
}

/** A start that a clock fix moves, and the small ids of the streams whose gaps may end there. */
export interface MovedStartOfStreams extends MovedStart {
  readonly streams: readonly number[];
}

/** `offsets` are those of the stream before the fix; `null`: it moves no start. */
export function startMovedBy(
  { streams, catalog }: RegisterWork,
  fix: ArchivedClockFix,
  offsets: SequenceSteps,
): MovedStartOfStreams | null {
  const all = new Map([...catalog.streams, ...streams]);
  const stream = all.get(fix.streamId);
  const moved = stream === undefined ? null : movedStart(stream, offsets, fix);
  if (stream === undefined || moved === null) return null;
  const same = [...all.values()].filter((each) => isSameOrigin(each, stream));
  return { ...moved, streams: same.map(({ id }) => id) };
}
