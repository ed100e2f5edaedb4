import type { Ring } from '../../src/buffer/ring.ts';
import type { Phase } from '../../src/redundancy/role-state.ts';
import type { SimulatedClock } from '../../src/world/simulated/clock.ts';
import { delegated } from './delegate.ts';

/** A time in which a run may number what it takes over, true times. */
export interface Turn {
  readonly fromMs: number;
  /** Infinite while it lasts. */
  untilMs: number;
}

/**
 * When one run of a pair was in charge: in the role of the active one, and its stores had stored that it is.
 * In between it may number what it takes over, or not.
 */
export class Charge {
  readonly #clock: SimulatedClock;
  readonly #rings = new Map<Ring, boolean>();
  readonly turns: Turn[] = [];

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  /** Whether what the run takes over now has to be numbered. */
  isSure(phase: Phase | null): boolean {
    this.look(phase);
    const turn = this.turns.at(-1);
    return turn !== undefined && turn.untilMs === Number.POSITIVE_INFINITY && turn.fromMs < this.#nowMs;
  }

  /** To be asked often: sees whether a turn began or ended. */
  look(phase: Phase | null): void {
    const turn = this.turns.at(-1);
    const isOpen = turn?.untilMs === Number.POSITIVE_INFINITY;
    if (phase !== 'active') {
      // Who is suspended has stored nothing else, and numbers again as soon as it may go on.
      if (phase !== 'suspended') for (const ring of this.#rings.keys()) this.#rings.set(ring, false);
      this.end();
      return;
    }
    const isStored = this.#rings.size > 0 && [...this.#rings.values()].every(Boolean);
    if (!isOpen && isStored) this.turns.push({ fromMs: this.#nowMs, untilMs: Number.POSITIVE_INFINITY });
  }

  /** Nothing is numbered any more. */
  end(): void {
    const turn = this.turns.at(-1);
    if (turn?.untilMs === Number.POSITIVE_INFINITY) turn.untilMs = this.#nowMs;
  }

  /** A mark that is not one of a standby, made as the active one, says that numbers may be given. */
  watch(ring: Ring, phase: () => Phase | null): Ring {
    this.#rings.set(ring, false);
    return delegated(ring, {
      markAlive: async (...args) => {
        const isActive = phase() === 'active' && args[2]?.isStandby !== true;
        const done = () => {
          if (isActive && phase() === 'active') this.#rings.set(ring, true);
          this.look(phase());
        };
        await ring.markAlive(...args).finally(done);
      },
    });
  }

  get #nowMs(): number {
    return this.#clock.monotonicMs();
  }
}
