import { command } from '../command/usage.ts';

const COUNT_MAX = 100_000;

export const CRASH = command({
  name: 'crash',
  about:
    'Writers on the real LevelDB are killed with SIGKILL, and the disk under them loses its power (as ' +
    'root, with nbdkit, nbdfuse and e2fsprogs; without them the cuts are skipped, and the report says ' +
    'so). After each the ring is opened and held against what the writer said. How long the writer was ' +
    'held up is part of the bound, as the product states it.',
  options: {
    kills: {
      kind: 'number',
      about: 'how often a writer is killed',
      least: 0,
      most: COUNT_MAX,
      otherwise: 300,
    },
    'power-cuts': {
      kind: 'number',
      about: 'how often the power goes',
      ...{ least: 0, most: COUNT_MAX, otherwise: 30 },
    },
    json: { kind: 'flag', about: 'the report as one JSON object' },
  },
  exits: {
    0: 'all that was confirmed was there each time',
    1:
      'something confirmed is gone, torn, doubled, out of order or wrongly named; or what a crash lost, ' +
      'or a confirmed write held, is older than the power-cut bound',
  },
  examples: [
    ['', '300 kills and 30 power cuts'],
    ['--kills 20 --power-cuts 0', 'a short run, without root'],
  ],
});
