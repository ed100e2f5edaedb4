import type { SimulatedRandom } from '../../src/world/simulated/random.ts';
import { drawKernels } from './kernels-options.ts';
import { type Fault, SITE_FAULTS, type Swarm } from './options.ts';
import { drawPair } from './pair-options.ts';

/** Of the seeds so many have a third Kernel. */
const THIRD_SHARE = 0.35;

/** Two comm servers and two or three Kernels. Each part is drawn from a source of its own. */
export function drawSite(
  swarm: Swarm,
  { pair, kernels }: { readonly pair: SimulatedRandom; readonly kernels: SimulatedRandom },
  allowed: readonly Fault[],
): Swarm {
  const count = kernels.chance(THIRD_SHARE) ? 3 : 2;
  const drawn = drawKernels(drawPair(swarm, pair, allowed), kernels, allowed);
  const isCalm = drawn.faults.size === 0;
  const own = SITE_FAULTS.filter((fault) => allowed.includes(fault) && kernels.chance(0.5));
  const faults = new Set(isCalm ? [] : [...drawn.faults, ...own]);
  return { ...drawn, faults, kernels: drawn.kernels && { ...drawn.kernels, count } };
}
