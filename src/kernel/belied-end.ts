import { type Coverage, dataOf } from '../domain/coverage.ts';
import { OPEN_END, type SequenceGap } from '../domain/gap.ts';
import type { StreamInfo } from '../domain/stream.ts';
import { behindObserved } from './chain.ts';

/** What is known here of a stream that its successor says to have ended cleanly. */
export interface KnownOfStream {
  readonly coverage: Coverage;
  /** The highest number that a session said to have been given; 0: none. */
  readonly heardThrough: number;
  /** How far it is known to be complete, integer µs; 0 if that is not known. */
  readonly observedUntilUs: number;
}

/**
 * What a stream lost that is said to have ended cleanly and did not; `null`: nothing contradicts that. An
 * instance that becomes active on a disk which takes nothing leaves no mark of it there: its next run knows
 * only that it stood by. Whoever heard of a higher number, or has one, knows better; how many there were
 * nobody does.
 */
export function beliedEnd(
  { previous, startedAtUs }: Pick<StreamInfo, 'previous' | 'startedAtUs'>,
  { coverage, heardThrough, observedUntilUs }: KnownOfStream,
): SequenceGap | null {
  if (previous === null || !previous.endedCleanly) return null;
  const { streamId, lastDurableSequence: told, aliveUntilUs } = previous;
  const last = coverage.at(-1)?.last ?? 0;
  const data = dataOf(coverage).at(-1)?.last ?? 0;
  if (last === OPEN_END || Math.max(heardThrough, data) <= told) return null;
  const numbers = { firstSequence: told + 1, lastSequence: OPEN_END, countAtMost: OPEN_END };
  const span = { fromUs: Math.min(aliveUntilUs, startedAtUs), toUs: startedAtUs };
  return behindObserved({ streamId, ...numbers, reason: 'crash', ...span }, observedUntilUs);
}
