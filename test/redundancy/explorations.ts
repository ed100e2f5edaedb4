import { FAULTS, JITTER, LIES, SWITCHES } from './deviations.ts';
import type { Exploration } from './explorer.ts';
import { onlyActive } from './explorer.ts';
import { BrokenRule, darkWorld, type PairOptions, PRODUCT, type Product, type World } from './pair-model.ts';
import { PairWorld } from './pair-world.ts';

/** Both start in the same moment, with no Kernel, and with one that starts then. */
function coldStarts(options: PairOptions): Exploration['starts'] {
  const pair = new PairWorld(darkWorld(), options);
  pair.startInstance(0);
  pair.startInstance(1);
  const alone = pair.world;
  pair.startKernel();
  return [
    { name: 'both start, without a Kernel', world: alone },
    { name: 'both start, and a Kernel', world: pair.world },
  ];
}

export function faultsOf(
  depth: number,
  { product = PRODUCT, preferred = 0 }: { product?: Product; preferred?: number } = {},
): Exploration {
  const options = { preferred, product };
  const starts = coldStarts(options);
  return { starts, options, deviations: FAULTS, depth, depthWithin: depth, statesMax: 5_000_000 };
}

/** Operators beside the faults. */
export function switchesOf(depth: number): Exploration {
  return { ...faultsOf(depth), deviations: [...SWITCHES, ...FAULTS] };
}

/** A middlebox that lies beside the faults: two may hold a lease then, but never one term, and it heals. */
export function liesOf(depth: number): Exploration {
  return { ...faultsOf(depth), deviations: [...LIES, ...FAULTS] };
}

/**
 * Nothing but messages that are a round late, fewer in a row than make the silence of a dead peer (three):
 * nobody may be active beside another, and no role may move.
 */
export function healthyOf(depth: number, product: Product = PRODUCT): Exploration {
  const check = (after: World, before: World): void => {
    if (after.nodes.every(({ role }) => role?.phase === 'active')) {
      throw new BrokenRule('two are active though nothing is wrong');
    }
    const active = onlyActive(before);
    if (active !== 0 && onlyActive(after) !== active) {
      throw new BrokenRule('a role moves though nothing is wrong');
    }
  };
  return { ...faultsOf(depth, { product }), deviations: JITTER, check };
}

/** A planted defect among the faults that show it; `null`: nothing is wrong. */
export function defectiveOf(product: Product, faults: RegExp | null): Exploration {
  if (faults === null) return healthyOf(2, product);
  return { ...faultsOf(2, { product }), deviations: FAULTS.filter(({ name }) => faults.test(name)) };
}
