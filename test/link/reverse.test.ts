import { expect, it } from 'vitest';
import type { DialledAgent } from '../../src/config/model/kernel.ts';
import { AgentDialler } from '../../src/kernel/agent-dialler.ts';
import { silentLog } from '../../src/world/log.ts';
import { createSimulatedRandom } from '../../src/world/simulated/random.ts';
import { isDelivered, type LinkWorld, makeLinkWorld, untilSo } from './link-world.ts';

const ADDRESS = { host: 'agent', port: 3119 };
const BACKUP = { host: 'agent-2', port: 3119 };
const noConnection = (): never => {
  throw new Error('an agent that is dialled opened a connection');
};

/** The agent only listens; whatever it tries to open throws. */
async function makeReverse(listen: { allowFrom?: readonly string[] } = {}): Promise<LinkWorld> {
  return await makeLinkWorld({
    hosts: [],
    settings: {
      listen: { address: ADDRESS, serverAddresses: {}, allowFrom: listen.allowFrom ?? [], insecure: true },
    },
    transport: (network) => ({
      ...network.host('agent'),
      connect: noConnection,
      connectLocal: noConnection,
    }),
  });
}

/** Whether the Kernels that dial are hot. */
let isWanted = true;

/** A Kernel that dials, from a host. */
function dialFrom(world: LinkWorld, host: string, agent: Partial<DialledAgent> = {}) {
  const stop = new AbortController();
  const dialler = new AgentDialler({
    agent: {
      ...{ site: 'S', process: 'KomA', addresses: [ADDRESS], retryMs: 2000, connectTimeoutMs: 5000 },
      ...{ insecure: true },
      ...agent,
    },
    accept: (connection, dialled) => world.kernel.accept(connection, dialled),
    isWanted: () => isWanted,
    transport: world.network.host(host),
    clock: world.clock,
    random: createSimulatedRandom(9),
    log: silentLog,
  });
  const run = dialler.run(stop.signal);
  return { dialler, stop: () => stop.abort(), run };
}

it('delivers over connections that only the Kernel opens', async () => {
  const world = await makeReverse();
  await world.live(10_000, 5);
  expect(world.state()).toBe('outage');
  expect(world.uplink.status.paths).toMatchObject([{ address: 'agent:3119', state: 'listens' }]);
  const { dialler } = dialFrom(world, 'kernel');
  expect(await untilSo(world, () => world.state() === 'online')).toBeLessThan(3000);
  expect(dialler.status).toMatchObject({ addresses: [{ isInUse: true, lastError: null }] });
  expect(world.uplink.status.paths).toMatchObject([{ state: 'in-use' }]);
  expect(world.uplink.status.kernel).toMatch(/^kernel:/);
  await world.live(3000, 5);
  await world.clock.advance(1000);
  expect(await isDelivered(world)).toBe(true);
});

it('the Kernel dials again after a loss, and a dead cable is noticed just as fast', async () => {
  const world = await makeReverse();
  dialFrom(world, 'kernel');
  await world.live(5000, 5);
  world.network.cut('agent', 'kernel', 'hang');
  expect(await untilSo(world, () => world.uplink.status.kernel === null)).toBeLessThanOrEqual(1500);
  await world.live(5000, 5);
  world.network.heal('agent', 'kernel');
  expect(await untilSo(world, () => world.uplink.status.kernel !== null)).toBeLessThan(10_000);
  await untilSo(world, () => world.state() === 'online');
  await world.clock.advance(2000);
  expect(await isDelivered(world)).toBe(true);
});

it('a Kernel that was restarted gets the session at once, before the agent misses the old one', async () => {
  const world = await makeReverse();
  const before = dialFrom(world, 'kernel');
  await world.live(3000, 5);
  before.stop();
  const { sinceUs } = world.uplink.status;
  dialFrom(world, 'kernel');
  expect(await untilSo(world, () => world.uplink.status.sinceUs > sinceUs)).toBeLessThan(1000);
  await untilSo(world, () => world.state() === 'online');
  await world.live(2000, 5);
  await world.clock.advance(1000);
  expect(await isDelivered(world)).toBe(true);
});

it('another Kernel is told that the agent has a session, and gets it when that is over', async () => {
  const world = await makeReverse();
  const first = dialFrom(world, 'kernel');
  await world.live(3000, 5);
  const { sinceUs } = world.uplink.status;
  const second = dialFrom(world, 'other');
  await world.live(10_000, 5);
  expect(world.uplink.status.sinceUs, 'nothing disturbed the session').toBe(sinceUs);
  expect(second.dialler.status.addresses[0]?.lastError).toContain('has a session already');
  first.stop();
  world.network.killHost('kernel');
  await untilSo(world, () => /^other:/.test(world.uplink.status.kernel ?? ''));
  await world.live(2000, 5);
  await world.clock.advance(1000);
  expect(await isDelivered(world)).toBe(true);
});

it('whoever is not allowed gets nothing, not even a Hello', async () => {
  const world = await makeReverse({ allowFrom: ['10.1.2.0/24'] });
  dialFrom(world, '10.9.9.9');
  await world.live(10_000, 5);
  expect(world.uplink.status.kernel).toBeNull();
  dialFrom(world, '10.1.2.3');
  await untilSo(world, () => world.state() === 'online');
  expect(world.uplink.status.kernel).toMatch(/^10\.1\.2\.3:/);
});

it('a Kernel that is not allowed any more is left in order, one that is allowed now is taken', async () => {
  const world = await makeReverse({ allowFrom: ['10.1.2.0/24'] });
  dialFrom(world, '10.1.2.3');
  await world.live(12_000, 5);
  const allow = (...allowFrom: string[]) =>
    world.uplink.change({ kernels: [], allowFrom, siteHash: 'b'.repeat(32) });
  const { sinceUs } = world.uplink.status;
  allow('10.1.2.3', '10.9.0.0/16');
  await world.live(2000, 5);
  expect(world.uplink.status.sinceUs).toBe(sinceUs);
  world.produce(50);
  allow('10.9.0.0/16');
  dialFrom(world, '10.9.9.9');
  expect(await untilSo(world, () => /^10\.9/.test(world.uplink.status.kernel ?? ''))).toBeLessThan(1000);
  expect(world.uplink.status).toMatchObject({ lastError: null, shortSessions: 0 });
  await world.live(12_000, 5);
  await world.clock.advance(1000);
  expect(await isDelivered(world)).toBe(true);
});

it('a Kernel that is not allowed any more does not get a session that it is about to have', async () => {
  const world = await makeReverse({ allowFrom: ['10.1.2.0/24'] });
  // Its second connection never comes.
  const connecting = world.network.host('10.1.2.3').connect(ADDRESS, { timeoutMs: 1000 });
  void connecting.then((connection) => world.kernel.accept(connection));
  await world.clock.advance(100);
  world.uplink.change({ kernels: [], allowFrom: ['10.9.0.0/16'], siteHash: 'b'.repeat(32) });
  dialFrom(world, '10.9.9.9');
  expect(await untilSo(world, () => /^10\.9/.test(world.uplink.status.kernel ?? ''))).toBeLessThan(1000);
});

it('the Kernel takes only the agent that it expects at an address', async () => {
  const world = await makeReverse();
  const { dialler } = dialFrom(world, 'kernel', { process: 'KomB' });
  await world.live(5000, 5);
  expect(world.uplink.status.kernel).toBeNull();
  expect(dialler.status.addresses[0]?.lastError).toContain('S/KomA');
});

it('of two addresses the one that works is used', async () => {
  const world = await makeReverse();
  world.network.cut('kernel', 'agent-2', 'hang');
  const { dialler } = dialFrom(world, 'kernel', { addresses: [BACKUP, ADDRESS] });
  expect(await untilSo(world, () => world.uplink.status.kernel !== null)).toBeLessThan(1000);
  expect(dialler.status.addresses.map(({ isInUse }) => isInUse)).toEqual([false, true]);
});

it('a standby does not dial, and does as soon as it is hot', async () => {
  const world = await makeReverse();
  isWanted = false;
  try {
    dialFrom(world, 'kernel');
    await world.live(5000, 5);
    expect(world.uplink.status.kernel).toBeNull();
    isWanted = true;
    expect(await untilSo(world, () => world.uplink.status.kernel !== null)).toBeLessThan(1000);
  } finally {
    isWanted = true;
  }
});
