import { type Node, other, SIDES, type Side } from './pair-model.ts';
import type { PairWorld } from './pair-world.ts';

/** Something that goes otherwise than in a round in which everything arrives. */
export interface Deviation {
  readonly name: string;
  readonly isPossible: (world: PairWorld) => boolean;
  readonly apply: (world: PairWorld) => void;
}

function ofSide(side: Side): Deviation[] {
  const who = `instance ${side + 1}`;
  const node = (world: PairWorld): Node => world.node(side);
  const lives = (world: PairWorld) => node(world).role !== null;
  return [
    { name: `${who} is killed`, isPossible: lives, apply: (world) => world.killInstance(side, false) },
    {
      name: `${who} is killed, its term is written`,
      isPossible: (world) => lives(world) && node(world).persisting.length > 0,
      apply: (world) => world.killInstance(side, true),
    },
    {
      name: `${who} starts`,
      isPossible: (world) => !lives(world),
      apply: (world) => world.startInstance(side),
    },
    {
      name: `${who} restarts at once`,
      isPossible: lives,
      apply: (world) => {
        world.killInstance(side, false);
        world.startInstance(side);
      },
    },
    ...[2, 7].map((rounds) => ({
      name: `${who} stands still for ${rounds} rounds`,
      isPossible: (world: PairWorld) => lives(world) && node(world).stalled === 0,
      apply: (world: PairWorld) => world.change(side, { stalled: rounds }),
    })),
    ...[2, 8].map((rounds) => ({
      name: `the disk of ${who} takes ${rounds} rounds`,
      isPossible: (world: PairWorld) => node(world).persisting.length > 0 && node(world).persistDelay === 0,
      apply: (world: PairWorld) => world.change(side, { persistDelay: rounds }),
    })),
    {
      name: `${who} takes 4 rounds to stand by`,
      isPossible: (world) => node(world).isStandingBy && node(world).standByDelay === 0,
      apply: (world) => world.change(side, { standByDelay: 4 }),
    },
    ...[false, true].map((isNoticed) => ({
      name: `the Kernel's cable of ${who} is pulled${isNoticed ? ', and both notice it' : ''}`,
      isPossible: (world: PairWorld) => !node(world).isCutFromKernel,
      apply: (world: PairWorld) => world.cutFromKernel(side, isNoticed),
    })),
    {
      name: `the Kernel's cable of ${who} is plugged in`,
      isPossible: (world) => node(world).isCutFromKernel,
      apply: (world) => world.change(side, { isCutFromKernel: false }),
    },
    ...lateMessages(side),
  ];
}

function lateMessages(side: Side): Deviation[] {
  const who = `instance ${side + 1}`;
  return [1, 4].flatMap((rounds) => [
    {
      name: `claims of ${who} are ${rounds} rounds late`,
      isPossible: (world: PairWorld) =>
        world.node(side).claims.length > 0 && world.node(side).claimDelay === 0,
      apply: (world: PairWorld) => world.change(side, { claimDelay: rounds }),
    },
    {
      name: `answers to ${who} are ${rounds} rounds late`,
      isPossible: (world: PairWorld) =>
        world.node(side).answers.length > 0 && world.node(side).answerDelay === 0,
      apply: (world: PairWorld) => world.change(side, { answerDelay: rounds }),
    },
    {
      name: `words of ${who} are ${rounds} rounds late`,
      isPossible: (world: PairWorld) =>
        world.node(side).sayings.length > 0 && world.node(side).sayingDelay === 0,
      apply: (world: PairWorld) => world.change(side, { sayingDelay: rounds }),
    },
  ]);
}

const OF_KERNEL: readonly Deviation[] = [
  {
    name: 'the Kernel is killed',
    isPossible: ({ world }) => world.kernel.arbiter !== null,
    apply: (world) => world.killKernel(false),
  },
  {
    name: 'the Kernel is killed, its term is written',
    isPossible: ({ world }) => world.kernel.raising !== null,
    apply: (world) => world.killKernel(true),
  },
  {
    name: 'the Kernel starts',
    isPossible: ({ world }) => world.kernel.arbiter === null,
    apply: (world) => world.startKernel(),
  },
  {
    name: 'the Kernel restarts at once',
    isPossible: ({ world }) => world.kernel.arbiter !== null,
    apply: (world) => {
      world.killKernel(false);
      world.startKernel();
    },
  },
  ...[2, 8].map((rounds) => ({
    name: `the archive takes ${rounds} rounds`,
    isPossible: ({ world }: PairWorld) => world.kernel.raising !== null && world.kernel.raiseDelay === 0,
    apply: (world: PairWorld) => world.changeKernel({ raiseDelay: rounds }),
  })),
];

const OF_PEER_LINK: readonly Deviation[] = [
  {
    name: 'the peer link is cut',
    isPossible: ({ world }) => !world.isPeerCut,
    apply: (world) => {
      world.world = { ...world.world, isPeerCut: true };
      for (const side of SIDES) world.change(side, { sayings: [] });
    },
  },
  {
    name: 'the peer link is there again',
    isPossible: ({ world }) => world.isPeerCut,
    apply: (world) => {
      world.world = { ...world.world, isPeerCut: false };
    },
  },
];

/** All that can happen to machines, processes, disks and cables. */
export const FAULTS: readonly Deviation[] = [...SIDES.flatMap(ofSide), ...OF_KERNEL, ...OF_PEER_LINK];

/** A message that is one round late is no fault. */
export const JITTER: readonly Deviation[] = SIDES.flatMap(lateMessages).filter(({ name }) =>
  name.includes(' 1 rounds'),
);

/** An operator at either instance. */
export const SWITCHES: readonly Deviation[] = SIDES.flatMap((side) =>
  SIDES.map((to) => ({
    name: `an operator at instance ${side + 1} wants instance ${to + 1}`,
    isPossible: (world: PairWorld) => world.node(side).role !== null,
    apply: (world: PairWorld) => world.handover(side, { to: to + 1, operator: 'somebody', force: false }),
  })),
);

/** A middlebox resets connections, and answers for a living process that nobody listens there. */
export const LIES: readonly Deviation[] = SIDES.map((side) => ({
  name: `instance ${side + 1} is told that its peer is dead`,
  isPossible: (world) => world.node(side).role !== null && world.node(other(side)).role !== null,
  apply: (world) => {
    world.change(side, { isLiedTo: true });
    world.change(other(side), { sayings: [] });
  },
}));
