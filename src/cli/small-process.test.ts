import { expect, test } from 'vitest';
import { smallStart } from './small-process.ts';

const SMALL = { MALLOC_ARENA_MAX: '1', KOM_SMALL: '1' };

test('a process that nobody gave a setting gets them all, and is not started a third time', () => {
  const again = smallStart({ execArgv: ['--no-warnings'], environment: { PATH: '/bin' } });
  expect(again).toEqual({
    flags: ['--no-warnings', '--max-semi-space-size=1', '--optimize-for-size'],
    environment: { PATH: '/bin', ...SMALL },
  });
  expect(smallStart({ execArgv: again?.flags ?? [], environment: again?.environment ?? {} })).toBeNull();
});

test.each([
  [['--max_semi_space_size=4'], {}],
  [[], { NODE_OPTIONS: '--max-semi-space-size=4' }],
])('a flag that was chosen stays, the others are added: %o %o', (execArgv, environment) => {
  const again = smallStart({ execArgv, environment });
  expect(again?.flags).toEqual([...execArgv, '--optimize-for-size']);
  expect(again?.environment).toEqual({ ...environment, ...SMALL });
});

test('what a service gives to all alike does not make a small process larger', () => {
  const environment = { NODE_OPTIONS: '--max-semi-space-size=1', MALLOC_ARENA_MAX: '2' };
  expect(smallStart({ execArgv: [], environment })?.environment).toMatchObject({ MALLOC_ARENA_MAX: '1' });
});
