import { basename, join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take minutes, the longest first: begun last, each would keep everybody waiting. */
const LONG = [
  ...[
    'image',
    'starved',
    'redundancy',
    'topologies',
    'simulation',
    'kernel-kill',
    'kernels',
    'interruptions',
  ],
  ...[
    'simulation-kernels',
    'long-absence',
    'demo',
    'hostile-proxy',
    'kernels-shared',
    'kernels-hot',
    'disk-faults',
    'postgres-kernel',
  ],
];

class LongOnesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const place = LONG.indexOf(basename(moduleId, '.test.ts'));
      return place < 0 ? LONG.length : place;
    };
    const order = ({ project }: TestSpecification): number => project.config.sequence.groupOrder;
    const sorted = await super.sort(files);
    return sorted.sort((one, other) => order(one) - order(other) || rank(one) - rank(other));
  }
}

/** Virtual time, minutes of it: they keep a core busy each, and nothing is late by that. */
const VIRTUAL = [
  ...['simulation', 'simulation-kernels', 'planted-defects', 'interruptions', 'redundancy'],
  ...['long-absence', 'starved'],
];
/** Times of real processes and devices are what these are about: nothing else runs beside them. */
const TIMED = [
  'failover',
  'failover-network',
  'live-age',
  'takeover-lines',
  'modbus-counterparts',
  'held-up',
  'starved-processes',
];

/**
 * What is about real processes, sockets and devices runs once more where it fails: another machine's work may
 * spoil its times once. What fails twice has failed. Where chance is drawn anew each time there is no second
 * try; pure code and virtual time have none at all.
 */
const SECOND_TRY = 1;

/** Not said, it would be all but one: of two cores the other one would do nothing. */
const ALL_CORES = '100%';

const fullTests = (names: readonly string[]): string[] => names.map((name) => `test/full/${name}.test.ts`);

/**
 * unit: pure code, virtual time, temporary files. integration: real sockets and child processes.
 * full: what needs Debian packages, root or minutes (each test skips with a printed reason).
 */
export default defineConfig({
  test: {
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // Many hundred processes of the program are started: compiling is more than half of what that costs.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/compiled') },
    sequence: { sequencer: LongOnesFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/*.test.ts', 'test/link/*.test.ts'],
          // One project after the other: what keeps all cores busy would spoil the times of real devices.
          sequence: { groupOrder: 1 },
          maxWorkers: ALL_CORES,
        },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          sequence: { groupOrder: 2 },
          // Most of the time each of them waits for its processes.
          maxWorkers: 2,
          retry: SECOND_TRY,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'full-virtual',
          include: fullTests(VIRTUAL),
          sequence: { groupOrder: 3 },
          maxWorkers: ALL_CORES,
          // As Node imports it, a call of another module is a call and no look-up: the exploration of roles
          // takes a quarter less. And with room for more short-lived values they are collected less often.
          experimental: { viteModuleRunner: false },
          execArgv: ['--max-semi-space-size=64'],
          // At the lowest priority, beside what waits: it goes on when there is nothing else to do.
          testTimeout: 1_200_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'full',
          include: ['test/full/**/*.test.ts'],
          exclude: fullTests([...VIRTUAL, ...TIMED]),
          sequence: { groupOrder: 4 },
          maxWorkers: 4,
          retry: SECOND_TRY,
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'full-timed',
          include: fullTests(TIMED),
          sequence: { groupOrder: 5 },
          fileParallelism: false,
          retry: SECOND_TRY,
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
});
