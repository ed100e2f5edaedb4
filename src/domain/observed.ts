import { type Coverage, contiguousEnd } from './coverage.ts';

/** How far a stream is said to be complete. */
export interface Observed {
  readonly streamId: string;
  /** By the clock of its agent, integer µs since 1970. */
  readonly untilUs: number;
  /** Only a lower bound, which an old block told; otherwise the agent said it of that moment. */
  readonly atLeast?: true;
}

/**
 * How far a stream is complete after this was said, integer µs. What the agent said last counts, also when it
 * is less: then its clock was set back, and the later time is none that it would still know.
 */
export function observedAfter(knownUs: number, { untilUs, atLeast }: Omit<Observed, 'streamId'>): number {
  return atLeast === true ? Math.max(knownUs, untilUs) : untilUs;
}

/** How far a stream is complete, integer µs: one that ended and of which everything is there, to its end. */
export function observedUntil(
  stream: {
    readonly observedUntilUs: number;
    readonly endedAtUs: number | null;
    readonly endedSequence: number | null;
  },
  coverage: Coverage,
): number {
  const { observedUntilUs, endedAtUs, endedSequence } = stream;
  if (endedAtUs === null || endedSequence === null) return observedUntilUs;
  return contiguousEnd(coverage) >= endedSequence ? endedAtUs : observedUntilUs;
}
