import { expect, it } from 'vitest';
import { KomError } from '../../domain/errors.ts';
import { createLog } from './log.ts';

function recorded(level: 'debug' | 'info' | 'warn') {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  return { log: createLog({ level, name: 'agent', destination }), lines };
}

it('writes one JSON object a line with its name, level in words and time', () => {
  const { log, lines } = recorded('info');
  log.info({ line: 'L1' }, 'connected');
  expect(lines).toEqual([
    {
      level: 'info',
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      name: 'agent',
      line: 'L1',
      msg: 'connected',
    },
  ]);
});

it('leaves out what is below its level', () => {
  const { log, lines } = recorded('warn');
  log.debug({}, 'a');
  log.info({}, 'b');
  log.warn({}, 'c');
  log.error({}, 'd');
  expect(lines.map((line) => line['msg'])).toEqual(['c', 'd']);
});

it('gives the fields of a child to all its lines', () => {
  const { log, lines } = recorded('debug');
  log.child({ process: 'KomA' }).child({ line: 'L1' }).debug({ n: 1 }, 'x');
  expect(lines[0]).toMatchObject({ name: 'agent', process: 'KomA', line: 'L1', n: 1 });
});

it('shows an error with its code and its cause', () => {
  const { log, lines } = recorded('info');
  const cause = new Error('ECONNREFUSED');
  log.warn({ error: new KomError('KOM_CONNECTION_REFUSED', 'kernel:3119', { cause }) }, 'no Kernel');
  expect(lines[0]?.['error']).toMatchObject({
    code: 'KOM_CONNECTION_REFUSED',
    message: expect.stringContaining('kernel:3119'),
    stack: expect.stringContaining('ECONNREFUSED'),
  });
});
