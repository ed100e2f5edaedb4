import type { SimulatedRandom } from '../../src/world/simulated/random.ts';
import { type Fault, SHARED_FAULTS, type Swarm } from './options.ts';
import { drawPair } from './pair-options.ts';

/** What one seed with Kernels that share a database is like, besides. */
export interface SharedOptions {
  readonly count: 2 | 3;
}

/** Of the seeds so many have two comm servers, */
const PAIR_SHARE = 0.3;
/** and so many a third Kernel. */
const THIRD_SHARE = 0.3;

/** What becomes of one archive becomes of the database here. */
const NOT_FOR_SHARED: readonly Fault[] = ['archive-unavailable'];
const OPERATOR_FAULTS: readonly Fault[] = ['kernel-switch', 'kernel-force'];

/** Each part is drawn from a source of its own. */
export function drawShared(
  single: Swarm,
  { pair, shared }: { readonly pair: SimulatedRandom; readonly shared: SimulatedRandom },
  allowed: readonly Fault[],
): Swarm {
  const swarm = shared.chance(PAIR_SHARE) ? drawPair(single, pair, allowed) : single;
  const isCalm = swarm.faults.size === 0;
  const count = shared.chance(THIRD_SHARE) ? 3 : 2;
  const own = [...SHARED_FAULTS, ...OPERATOR_FAULTS].filter(
    (fault) => allowed.includes(fault) && shared.chance(0.4),
  );
  const kept = [...swarm.faults].filter((fault) => !NOT_FOR_SHARED.includes(fault));
  return {
    ...swarm,
    faults: new Set(isCalm ? [] : [...kept, ...own]),
    faultEveryMs: Math.max(1500, swarm.faultEveryMs),
    runMs: Math.max(15_000, swarm.runMs),
    shared: { count },
  };
}
