import type { Find } from './checkers.ts';
import { type World, waitFor } from './world.ts';

/** The database ends the session of one that went without a word, and a look later all know of it. */
const KNOWN_MS = 6000;

/** Everything is well: one of them is hot soon, without anybody's doing. */
export async function settleSharing(world: World): Promise<void> {
  await waitFor(world, 'Kernels that are awake', () => world.kernels.every(({ isStalled }) => !isStalled));
  await world.clock.advance(KNOWN_MS);
  await waitFor(world, 'a hot Kernel', () => world.kernels.some(({ takesSessions }) => takesSessions));
}

/**
 * One of them is hot, and all know it; never were two, and no transaction of a reign went through behind one
 * of a later reign.
 */
export function checkSharing({ kernels, shared, sharing }: World, find: Find): void {
  sharing.end();
  const hot = kernels.filter(({ takesSessions }) => takesSessions);
  if (hot.length !== 1) find(`${hot.length} Kernels are hot`);
  const known = new Set(
    kernels.map(({ sharing: group }) => `${group?.status.hot} in epoch ${group?.status.epoch}`),
  );
  if (known.size !== 1) find(`the Kernels do not agree: ${[...known].join(', ')}`);
  const [two] = sharing.twoHot;
  if (two !== undefined) find(`two Kernels take agents: ${two}`);
  let highest = 0;
  for (const epoch of shared?.database.written ?? []) {
    if (epoch < highest) find(`a transaction of epoch ${epoch} went through behind one of epoch ${highest}`);
    highest = Math.max(highest, epoch);
  }
}
