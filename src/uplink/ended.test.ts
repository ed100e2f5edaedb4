import { expect, it } from 'vitest';
import { KomError } from '../domain/errors.ts';
import { keptLines } from '../world/log.fixture.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedNetwork } from '../world/simulated/network.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { Channel } from './channel.ts';
import { EndedConnections, goodbye } from './ended.ts';

async function stage() {
  const clock = new SimulatedClock();
  const network = new SimulatedNetwork({ clock, random: createSimulatedRandom(1) });
  const accepted: Channel[] = [];
  await network.host('K').listen({ host: 'K', port: 3119 }, (connection) => {
    accepted.push(new Channel(connection, clock));
  });
  const { lines, log } = keptLines();
  const ended = new EndedConnections({ clock, log, what: 'connection' });
  const channel = async (): Promise<Channel> => {
    const dialling = network.host('A').connect({ host: 'K', port: 3119 }, { timeoutMs: 1000 });
    await clock.advance(100);
    await dialling;
    const last = accepted.at(-1);
    if (last === undefined) throw new Error('nobody came');
    return last;
  };
  return { clock, lines, ended, channel };
}

const LOST = new KomError('KOM_CONNECTION_LOST', 'A');

it('what is no fault of anything is not said', async () => {
  const { lines, ended, channel } = await stage();
  ended.end(await channel(), new KomError('KOM_KERNEL_STANDBY', 'B is hot'));
  const farewell = new KomError('KOM_CONNECTION_LOST', 'the peer said goodbye', goodbye('stopping'));
  ended.end(await channel(), farewell);
  ended.end(await channel(), LOST, true);
  const dismissed = await channel();
  dismissed.bye('standby', 'B becomes hot');
  ended.end(dismissed, LOST);
  expect(lines).toEqual([]);
});

it('what is one is said at once, and the same of one machine once a minute', async () => {
  const { clock, lines, ended, channel } = await stage();
  const version = () => new KomError('KOM_PROTOCOL_VERSION', 'an agent', { got: '98 to 99' });
  for (let at = 0; at < 30; at++) ended.end(await channel(), version());
  ended.end(await channel(), LOST);
  ended.end(await channel(), new KomError('KOM_CONNECTION_LOST', 'a goodbye', goodbye('protocol-error')));
  expect(lines.map(([level, message, { code }]) => [level, message, code])).toEqual([
    ['warn', 'connection closed', 'KOM_PROTOCOL_VERSION'],
    ['warn', 'connection closed', 'KOM_CONNECTION_LOST'],
    ['warn', 'connection closed', 'KOM_CONNECTION_LOST'],
  ]);
  await clock.advance(60_000);
  ended.end(await channel(), version());
  expect(lines.at(-1)?.[2]).toMatchObject({ code: 'KOM_PROTOCOL_VERSION', suppressed: 29 });
});

it('refusals of one machine are said once a minute, and a bug each time', async () => {
  const { lines, ended, channel } = await stage();
  for (let at = 0; at < 5; at++) ended.refuse(await channel(), 'too many connections');
  for (let at = 0; at < 2; at++) ended.end(await channel(), new Error('a bug'));
  expect(lines.map(([level, message]) => `${level} ${message}`)).toEqual([
    'warn refused: too many connections',
    'error a connection failed',
    'error a connection failed',
  ]);
});
