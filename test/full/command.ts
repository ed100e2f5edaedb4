import { command } from '../command/usage.ts';

export const FULL = command({
  name: 'test:full',
  about:
    'Runs the tests that need Debian packages, root or minutes; a test whose tool is missing says so and ' +
    'is skipped. Those on virtual time only compute: they run beside those on real processes, which wait ' +
    'most of the time, at the lowest priority, and what they print comes when they are over. The last line ' +
    'counts the tests of both.',
  options: {
    only: { kind: 'one of', about: 'the one part', names: ['real', 'virtual'] },
  },
  exits: { 0: 'none failed', 1: 'one failed' },
  examples: [
    ['', 'all of them'],
    ['--only real', 'without those on virtual time'],
  ],
});
