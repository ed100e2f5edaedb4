import { RateMeter } from '../../domain/rate.ts';

/** How far a taker is with what it lacks. */
export interface CatchUpStatus {
  /** The most that it lacked since it had everything last. */
  readonly lackedAtMost: number;
  /** What comes there, old and new; `null` before that is known. */
  readonly arrivedPerS: number | null;
  /** Until it has everything, at this pace, milliseconds; `null` where there is no end in sight. */
  readonly leftMs: number | null;
}

/** A filled standby's pace changes with the months that it is filled from. */
const WINDOW_MS = 30_000;

/** Follows how a taker catches up. */
export class CatchUp {
  #known = nothing();

  /** `arrived`: numbers that came there since the beginning; `lacking`: those that are still to come. */
  note(atMs: number, arrived: number, lacking: number): void {
    const known = this.#known;
    if (lacking === 0) known.lackedAtMost = 0;
    known.lackedAtMost = Math.max(known.lackedAtMost, lacking);
    // What it lacks is counted stream by stream, a little before or after it is told to be there.
    known.most = Math.max(known.most, arrived + lacking);
    known.arrived.note(atMs, arrived);
    known.numbered.note(atMs, known.most);
  }

  /** Another connection: nothing is known any more. */
  clear(): void {
    this.#known = nothing();
  }

  status(lacking: number): CatchUpStatus {
    const { arrived, numbered, lackedAtMost } = this.#known;
    const arrivedPerS = arrived.perSecond;
    const gainPerS = (arrivedPerS ?? 0) - (numbered.perSecond ?? 0);
    return {
      lackedAtMost: lacking === 0 ? 0 : Math.max(lackedAtMost, lacking),
      arrivedPerS,
      leftMs: gainPerS > 0 ? Math.round((lacking / gainPerS) * 1000) : null,
    };
  }
}

/** Before anything was noted. */
function nothing() {
  const [arrived, numbered] = [new RateMeter(WINDOW_MS), new RateMeter(WINDOW_MS)];
  return { arrived, numbered, lackedAtMost: 0, most: 0 };
}
