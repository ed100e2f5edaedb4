import { expect, it } from 'vitest';
import { keptLines } from '../src/world/log.fixture.ts';
import type { Log } from '../src/world/log.ts';
import { KernelsWorld } from './kernels/kernels-world.ts';

type Said = ReturnType<typeof keptLines>['lines'];

/** Two Kernels and an agent, with what each has said since the last `take`. */
async function logged() {
  const all = new Map<string, Said>();
  const logOf = (who: string): Log => {
    const { lines, log } = keptLines();
    all.set(who, lines);
    return log;
  };
  const world = new KernelsWorld({ logOf });
  await world.start();
  await world.until('a hot Kernel', () => world.status('A').takesSessions);
  await world.until('the set', () => world.status('A').inSync.length === 2);
  await world.until('a session', () => world.uplink.status.kernel === 'A:3119');
  const take = (who: string): Said => all.get(who)?.splice(0) ?? [];
  const takeAll = (): Said => ['A', 'B', 'agent'].flatMap(take);
  return { world, take, takeAll };
}

const TROUBLE = ['warn', 'error'];
const messages = (said: Said): string[] => said.map(([level, message]) => `${level} ${message}`);

it('calm days say nothing', async () => {
  const { world, takeAll } = await logged();
  await world.produce(2000);
  takeAll();
  await world.produce(15_000, 1);
  expect(takeAll()).toEqual([]);
});

it('a switch is told by who reigns, and ends of sessions that it brings are no trouble', async () => {
  const { world, take } = await logged();
  await world.produce(5000);
  for (const who of ['A', 'B', 'agent']) take(who);
  await world.resolve(world.server('A').group?.handOver('B') ?? Promise.resolve());
  await world.until('a session', () => world.uplink.status.kernel === 'B:3119');
  await world.produce(5000);
  expect(messages(take('A').filter(([level]) => TROUBLE.includes(level)))).toEqual([
    'warn an operator hands over to another Kernel',
    'warn B reigns',
  ]);
  expect(messages(take('B').filter(([level]) => TROUBLE.includes(level)))).toEqual([
    'warn B reigns',
    'warn this Kernel is hot',
  ]);
  const agent = messages(take('agent'));
  expect(agent).toContain('info session with the Kernel');
  expect(agent.filter((line) => TROUBLE.some((level) => line.startsWith(level)))).toEqual([]);
  expect(agent.length).toBeLessThanOrEqual(4);
});

it('while none is hot the agent says once of each why not, and the standby nothing', async () => {
  const { world, take } = await logged();
  await world.produce(2000);
  take('agent');
  world.kill('A');
  await world.produce(20_000, 0);
  const said = take('agent').filter(([, message]) => message === 'no session with the Kernel');
  const reasons = said.map(([level, , fields]) => [level, fields['kernel'], fields['error']]);
  // The end of the session, and what each of the two answers since.
  expect(reasons).toEqual([
    ['warn', 'A:3119', expect.stringContaining('lost')],
    ['info', 'B:3119', expect.stringContaining('did not welcome us')],
    ['warn', 'A:3119', expect.stringContaining('refused')],
  ]);
  take('B');
  await world.produce(30_000, 0);
  expect(world.uplink.status.kernel).toBeNull();
  expect(messages(take('B'))).toEqual([]);
  expect(messages(take('agent'))).toEqual([]);
});
