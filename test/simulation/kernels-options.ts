import type { KernelGroupSettings } from '../../src/config/model/kernel.ts';
import type { SimulatedRandom } from '../../src/world/simulated/random.ts';
import { type Fault, KERNELS_FAULTS, LATER_KERNELS_FAULTS, type Swarm } from './options.ts';

/** What one seed with several Kernels is like, besides. */
export interface KernelsOptions {
  readonly count: 2 | 3;
  readonly ackPolicy: KernelGroupSettings['ackPolicy'];
  /** Large enough for all of a seed; or so small that nearly all is made again of the rows of an archive. */
  readonly ringBytes: number;
}

/** Of the seeds so many have each of the later faults. */
const LATER_SHARE = 0.5;

/** Drawn from a source of its own, so that seeds with one Kernel stay what they were. */
export function drawKernels(swarm: Swarm, random: SimulatedRandom, allowed: readonly Fault[]): Swarm {
  const isCalm = swarm.faults.size === 0;
  const own = KERNELS_FAULTS.filter((fault) => allowed.includes(fault) && random.chance(0.5));
  const kernels: KernelsOptions = {
    count: 2,
    ackPolicy: random.chance(0.25) ? 'hot' : 'in-sync',
    ringBytes: random.chance(0.4) ? 10_000 : 256_000_000,
  };
  const later = LATER_KERNELS_FAULTS.filter((fault) => allowed.includes(fault) && random.chance(LATER_SHARE));
  return {
    ...swarm,
    faults: new Set(isCalm ? [] : [...swarm.faults, ...own, ...later]),
    faultEveryMs: Math.max(1500, swarm.faultEveryMs),
    runMs: Math.max(15_000, swarm.runMs),
    kernels,
  };
}
