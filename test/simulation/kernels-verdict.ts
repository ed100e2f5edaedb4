import { type Coverage, type CoverageRange, subtractAll } from '../../src/domain/coverage.ts';
import { CONCLUDED_REASONS } from '../../src/domain/gap.ts';
import type { Find } from './checkers.ts';
import { PROCESS, SITE } from './site.ts';
import { type World, waitFor } from './world.ts';

const LOOKS_MAX = 200;
const LOOK_MS = 37;

/** Everything is well: an operator makes one of them hot if none is, and then all are in the set. */
export async function settleKernels(world: World): Promise<void> {
  const [first] = world.kernels;
  const isHot = () => world.kernels.some(({ group }) => group?.takesSessions === true);
  await world.clock.advance(10_000);
  if (!isHot()) await force(first?.group ?? null, world);
  await waitFor(world, 'a hot Kernel', isHot);
  const { kernels } = world.swarm;
  await waitFor(world, 'Kernels that follow the hot one', () => {
    const hot = world.kernels.find(({ group }) => group?.takesSessions === true)?.group;
    if (hot === undefined || hot === null) return false;
    if (kernels?.ackPolicy === 'in-sync') return hot.reign.inSync.length === world.kernels.length;
    return hot.status.kernels.every(({ behindMs }) => behindMs !== null && behindMs < 1000);
  });
}

async function force(group: World['kernel']['group'], world: World): Promise<void> {
  let isOver = false;
  group?.force().finally(() => {
    isOver = true;
  });
  await waitFor(world, 'an answer of a Kernel that is forced', () => isOver);
}

/**
 * One of them is hot, and all know it; all archives know the same of every stream, but for what one of them
 * refused, and that is no more than it did refuse. With an in-sync set no Kernel ever lacks what was
 * acknowledged.
 */
export async function checkKernels({ kernels, swarm, clock, refused }: World, find: Find): Promise<void> {
  const hot = kernels.filter(({ group }) => group?.takesSessions === true);
  if (hot.length !== 1) find(`${hot.length} Kernels are hot`);
  const reigns = new Set(kernels.map(({ group }) => JSON.stringify(group?.reign)));
  if (reigns.size !== 1) find(`the Kernels do not agree: ${[...reigns].join(' ')}`);
  for (const { archive } of swarm.kernels?.ackPolicy === 'in-sync' ? kernels : []) {
    for (const { streamId, coverage } of await archive.streams(SITE, PROCESS)) {
      const isRegressed = coverage.some(({ state }) => state === 'kernel-regressed');
      if (isRegressed) find(`${streamId}: acknowledged, and not there`);
    }
  }
  // What repeats by itself goes on and on, so they agree from time to time only.
  let different = await differences(kernels);
  for (let look = 0; different.length > 0 && look < LOOKS_MAX; look++) {
    await clock.advance(LOOK_MS);
    different = await differences(kernels);
  }
  for (const text of different) find(text);
  for (const { archive, host } of kernels) {
    for (const { streamId, coverage } of await archive.streams(SITE, PROCESS)) {
      for (const { first, last } of coverage.filter(isRejected))
        if (!refused.holds(streamId, first, last))
          find(`${host}: numbers ${first} to ${last} of ${streamId} are a gap, and were not refused`);
    }
  }
}

/** Streams of which the archives do not know the same. */
async function differences(kernels: World['kernels']): Promise<string[]> {
  const known = new Map<string, Coverage[]>();
  for (const { archive } of kernels) {
    for (const { streamId, coverage } of await archive.streams(SITE, PROCESS))
      known.set(streamId, [...(known.get(streamId) ?? []), coverage]);
  }
  return [...known].flatMap(([streamId, coverages]) => {
    // What one of them refused is a gap there, whatever the others have of it.
    const refused = coverages.flatMap((coverage) => coverage.filter(isRejected)).sort(byFirst);
    const told = coverages.map((each) => JSON.stringify(subtractAll(each, refused).map(asKnown)));
    const [one, ...others] = new Set(told);
    if (told.length < kernels.length) return [`${streamId} is in ${told.length} archives alone: ${one}`];
    return others.map((other) => `${streamId} is ${one} in one archive, and ${other} in another`);
  });
}

function isRejected({ state }: CoverageRange): boolean {
  return state === 'rejected';
}

function byFirst(one: CoverageRange, other: CoverageRange): number {
  return one.first - other.first;
}

/** What was only concluded each Kernel may have concluded for itself, for a reason of its own. */
function asKnown({ state, ...range }: CoverageRange) {
  return { ...range, state: CONCLUDED_REASONS.has(state) ? 'concluded' : state };
}
