import { command } from '../test/command/usage.ts';
import type { Bench } from './support/bench.ts';

/** By name; only the one that is run is loaded: what others bring along would count in its figures. */
export const BENCHES: Readonly<Record<string, () => Promise<Bench>>> = {
  archive: async () => (await import('./archive.ts')).archiveBench,
  drain: async () => (await import('./drain.ts')).drainBench,
  failover: async () => (await import('./failover.ts')).failoverBench,
  kernels: async () => (await import('./kernels.ts')).kernelsBench,
  line: async () => (await import('./line.ts')).lineBench,
  memory: async () => (await import('./memory.ts')).memoryBench,
  postgres: async () => (await import('./postgres.ts')).postgresBench,
  ring: async () => (await import('./ring.ts')).ringBench,
};

const SAMPLES_MAX = 10_000_000_000;

export const BENCH = command({
  name: 'bench',
  about: 'Figures of one part, as ratios within one run. docs/BENCHMARKS.md has what they were.',
  subject: {
    what: 'bench',
    names: Object.keys(BENCHES),
    about: async () =>
      await Promise.all(
        Object.entries(BENCHES).map(async ([name, load]) => [name, (await load()).about] as const),
      ),
  },
  options: {
    quick: { kind: 'flag', about: 'smaller amounts: seconds instead of minutes, and less exact' },
    samples: {
      kind: 'number',
      about: 'size of what is measured, where a bench takes one',
      ...{ least: 1, most: SAMPLES_MAX },
    },
    json: { kind: 'flag', about: 'the figures as one JSON object' },
  },
  exits: { 0: 'no floor is missed', 1: 'a floor is missed' },
  examples: [
    ['ring', 'the ring, as BENCHMARKS.md has it'],
    ['archive --samples 20000000 --json', 'a larger archive'],
  ],
});
