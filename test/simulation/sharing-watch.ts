import type { Timer } from '../../src/world/clock.ts';
import type { SimulatedClock } from '../../src/world/simulated/clock.ts';
import type { KernelHost } from './kernel-host.ts';

const LOOK_MS = 40;
const SEEN_MAX = 20;

/** Looks all the time who of the Kernels that share an archive takes agents. */
export class SharingWatch {
  readonly #setup: SharingWatchSetup;
  readonly #timer: Timer | null;
  /** Moments at which more than one did, true times. */
  readonly twoHot: string[] = [];

  constructor(setup: SharingWatchSetup) {
    this.#setup = setup;
    this.#timer = setup.isShared ? setup.clock.repeat('sharing', LOOK_MS, () => this.#look()) : null;
  }

  end(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    const { kernels, clock } = this.#setup;
    // One that stands still does nothing, and looks before it does anything again.
    const hot = kernels.filter(({ isStalled, takesSessions }) => takesSessions && !isStalled);
    if (hot.length < 2 || this.twoHot.length >= SEEN_MAX) return;
    const names = hot.map(({ host }) => host).join(' and ');
    this.twoHot.push(`${names} at ${(clock.monotonicMs() / 1000).toFixed(2)} s`);
  }
}

export interface SharingWatchSetup {
  readonly clock: SimulatedClock;
  readonly kernels: readonly KernelHost[];
  readonly isShared: boolean;
}
