import type { Clock } from '../world/clock.ts';

/** An archive does not take what it is to keep. */
export interface ArchiveRefusal {
  readonly error: string;
  /** Monotonic, milliseconds. */
  readonly sinceMs: number;
}

/** The same as an operator hears it. */
export interface ArchiveTrouble {
  readonly error: string;
  readonly forMs: number;
}

export function troubleOf(refusal: ArchiveRefusal | null, clock: Clock): ArchiveTrouble | null {
  if (refusal === null) return null;
  const { error, sinceMs } = refusal;
  return { error, forMs: Math.round(clock.monotonicMs() - sinceMs) };
}
