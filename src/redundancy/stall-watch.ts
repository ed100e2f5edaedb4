import type { Clock } from '../world/clock.ts';

/**
 * Notices that a process stood still (a stop signal, a paused virtual machine, a starved event loop), or
 * that wall and monotonic time moved apart (a machine that slept, a clock that was set). Whoever acts on what
 * it knew before must look first.
 */
export class StallWatch {
  readonly #clock: Clock;
  readonly #limitMs: number;
  #seenMs: number;
  #seenWallUs: number;

  constructor(clock: Clock, limitMs: number) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#seenMs = clock.monotonicMs();
    this.#seenWallUs = clock.wallUs();
  }

  /** For how long the process stood still, or the clocks moved apart, since the last look; 0: neither. */
  look(): number {
    const nowMs = this.#clock.monotonicMs();
    const wallUs = this.#clock.wallUs();
    const passedMs = nowMs - this.#seenMs;
    const apartMs = Math.abs((wallUs - this.#seenWallUs) / 1000 - passedMs);
    this.#seenMs = nowMs;
    this.#seenWallUs = wallUs;
    const worstMs = Math.max(passedMs, apartMs);
    return worstMs >= this.#limitMs ? worstMs : 0;
  }
}
