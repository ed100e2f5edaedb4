import { type Coverage, joinTouching, type SequenceRange, subtract } from '../domain/coverage.ts';
import { FIRST_SEQUENCE } from '../domain/stream.ts';
import type { StreamState } from '../uplink/messages.ts';
import type { Clock } from '../world/clock.ts';

/** A number is in a block that is not closed yet for 5 s at most, and then on its way; in ms. */
const SETTLE_MS = 15_000;

/** Numbers that were given and are in nobody's hands: neither archived, nor declared, nor held. */
export interface Unresolved extends SequenceRange {
  readonly site: string;
  readonly process: string;
  readonly streamId: string;
}

/** How far the streams of an agent had been given out some time ago. */
export class SettledNumbers {
  readonly #clock: Clock;
  #older: ReadonlyMap<string, number> = new Map();
  #newer: ReadonlyMap<string, number> = new Map();
  #newerMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The agent says how far its streams are. */
  note(streams: readonly StreamState[]): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#newerMs < SETTLE_MS) return;
    this.#older = this.#newer;
    this.#newer = new Map(streams.map(({ streamId, producedTo }) => [streamId, producedTo]));
    this.#newerMs = nowMs;
  }

  /** Up to here a stream was given out at least 15 s ago; 0 if nothing is known. */
  through(streamId: string): number {
    return this.#older.get(streamId) ?? 0;
  }
}

/** The numbers up to `through` that are neither covered nor held. */
export function unresolvedRanges(
  through: number,
  { held, coverage }: { readonly held: readonly SequenceRange[]; readonly coverage: Coverage },
): SequenceRange[] {
  if (through < FIRST_SEQUENCE) return [];
  const resolved = [...held, ...coverage].toSorted((a, b) => a.first - b.first);
  return subtract({ first: FIRST_SEQUENCE, last: through }, joinTouching(resolved));
}
