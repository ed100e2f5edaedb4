import { command } from '../command/usage.ts';
import { KERNELS_MUTATIONS } from './kernels-mutations.ts';
import { MUTATIONS, type Mutation } from './mutations.ts';
import { FAULTS } from './options.ts';
import { PAIR_MUTATIONS } from './pair-mutations.ts';
import { KINDS } from './run.ts';
import { SHARED_MUTATIONS } from './shared-mutations.ts';
import { SITE_MUTATIONS } from './site-mutations.ts';

/** By name, each made anew for each seed. */
export const ALL_MUTATIONS: Readonly<Record<string, () => Mutation>> = {
  ...MUTATIONS,
  ...PAIR_MUTATIONS,
  ...KERNELS_MUTATIONS,
  ...SITE_MUTATIONS,
  ...SHARED_MUTATIONS,
};

const SEED_MAX = 2 ** 31;
const SEEDS_DEFAULT = 200;

export const SIM = command({
  name: 'sim',
  about:
    'Runs comm servers, Kernels and a plant on virtual time, in one process, from a seed, and holds the ' +
    'archive against what was produced. The last line of standard output is one JSON object. A seed ' +
    'that fails prints what is wrong, and the command that replays it.',
  options: {
    seeds: { kind: 'number', about: 'how many', least: 1, most: SEED_MAX, otherwise: SEEDS_DEFAULT },
    first: {
      kind: 'number',
      about: 'the first of them; without it they are fresh ones',
      ...{ least: 0, most: SEED_MAX },
    },
    seed: {
      kind: 'number',
      about: 'this one only, with its whole history if it fails',
      ...{ least: 0, most: SEED_MAX },
    },
    kind: {
      kind: 'one of',
      about:
        'one comm server, two of them, two Kernels, both, or Kernels that share a database, for every seed',
      names: KINDS,
    },
    faults: { kind: 'some of', about: 'only these, for narrowing down', names: FAULTS },
    mutate: {
      kind: 'one of',
      about: 'with a planted defect, and the kind and the faults that show it; this has to fail',
      names: Object.keys(ALL_MUTATIONS),
    },
    json: { kind: 'flag', about: 'nothing but the JSON line on standard output' },
  },
  conflict: (given) => {
    const second = ['seeds', 'first'].find((name) => given.has(name));
    return given.has('seed') && second !== undefined
      ? `--seed is one seed: leave out --${second}, or --seed`
      : null;
  },
  exits: { 0: 'all seeds pass', 1: 'a seed fails' },
  examples: [
    ['--seeds 500', 'fresh seeds'],
    ['--seeds 500 --first 1', 'seeds 1 to 500'],
    ['--seed 4711 --kind pair', 'one seed again'],
    ['--seed 4711 --faults agent-kill,disk-full', 'the same with fewer kinds of faults'],
    ['--seeds 50 --first 1 --mutate silent-eviction', 'a planted defect, which is found'],
  ],
});
