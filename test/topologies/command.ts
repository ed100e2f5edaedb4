import { command } from '../command/usage.ts';
import { FIGURES } from './run.ts';

export const TOPOLOGIES = command({
  name: 'topologies',
  about:
    'Runs every architecture of examples/architectures with real processes, with what goes wrong in it, ' +
    'and holds each archive against what the simulated devices say that they served. As root each host ' +
    'is a network namespace; else they are addresses of the loopback. What needs PostgreSQL fails where ' +
    'that is not installed.',
  options: {
    figure: {
      kind: 'some of',
      about: 'only these, by their numbers in docs/ARCHITECTURES.md',
      names: FIGURES.map(({ number }) => String(number)),
    },
    loopback: {
      kind: 'flag',
      about: 'on addresses of the loopback, even where network namespaces can be had',
    },
    json: { kind: 'flag', about: 'one JSON line for each' },
  },
  exits: { 0: 'all of them hold', 1: 'one of them does not' },
  examples: [
    ['', 'all of them'],
    ['--figure 1,3 --loopback', 'two of them, without root'],
  ],
});
