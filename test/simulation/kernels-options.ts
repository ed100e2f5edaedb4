import type { KernelGroupSettings } from '../../src/config/model/kernel.ts';
import type { SimulatedRandom } from '../../src/world/simulated/random.ts';
import { type Fault, KERNELS_FAULTS, type Swarm } from './options.ts';

/** What one seed with two Kernels is like, besides. */
export interface KernelsOptions {
  readonly ackPolicy: KernelGroupSettings['ackPolicy'];
  /** Large enough for all of a seed: what it does not reach would be a gap in one of the archives. */
  readonly ringBytes: number;
}

/**
 * Not for two Kernels: what a store forgets, or a copy of it tells, one Kernel may have heard of and the
 * other one not; the single seeds ask for that.
 */
const NOT_FOR_KERNELS: readonly Fault[] = ['disk-cloned', 'image-restored', 'meta-lost', 'wall-step'];

/** Drawn from a source of its own, so that seeds with one Kernel stay what they were. */
export function drawKernels(swarm: Swarm, random: SimulatedRandom, allowed: readonly Fault[]): Swarm {
  const isCalm = swarm.faults.size === 0;
  const own = KERNELS_FAULTS.filter((fault) => allowed.includes(fault) && random.chance(0.5));
  const kept = [...swarm.faults].filter((fault) => !NOT_FOR_KERNELS.includes(fault));
  return {
    ...swarm,
    faults: new Set(isCalm ? [] : [...kept, ...own]),
    faultEveryMs: Math.max(1500, swarm.faultEveryMs),
    runMs: Math.max(15_000, swarm.runMs),
    ...{ clockMode: 'system', hasRealTimeClock: true },
    kernels: { ackPolicy: random.chance(0.25) ? 'hot' : 'in-sync', ringBytes: 256_000_000 },
  };
}
