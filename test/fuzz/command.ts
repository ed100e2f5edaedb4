import { command } from '../command/usage.ts';

const SECONDS_MAX = 1_000_000;

export const FUZZ = command({
  name: 'fuzz',
  about:
    'Damaged real traffic against the decoders of frames, messages and blocks, a whole Kernel and a ' +
    'whole agent. The last line of standard output is one JSON object. A turn that fails prints the ' +
    'command that runs it again.',
  options: {
    seconds: {
      kind: 'number',
      about: 'how long; one turn at least',
      ...{ least: 0, most: SECONDS_MAX, otherwise: 60, mayBeFraction: true },
    },
    seed: {
      kind: 'number',
      about: 'of the first turn; without it a fresh one',
      ...{ least: 0, most: 2 ** 31 },
    },
    json: { kind: 'flag', about: 'nothing but the JSON line, with the failures in it' },
  },
  exits: { 0: 'nothing failed', 1: 'something crashed, hung, grew, or disturbed an honest session' },
  examples: [
    ['--seconds 600', 'fresh seeds for ten minutes'],
    ['--seconds 1 --seed 4711', 'one turn again'],
  ],
});
