import { expect, it } from 'vitest';
import { isDelivered, makeLinkWorld, untilSo } from './link-world.ts';

const HOSTS = ['first', 'second', 'third'];
const inUse = (world: Awaited<ReturnType<typeof makeLinkWorld>>) =>
  world.uplink.status.paths.find(({ state }) => state === 'in-use')?.address;

it('takes the preferred address, from the local address of that path', async () => {
  const world = await makeLinkWorld({
    hosts: HOSTS,
    localAddresses: (host) => ({ Server1: `nic-of-${host}`, Server2: 'another' }),
  });
  await world.clock.advance(500);
  expect(inUse(world)).toBe('first:3119');
  expect(world.uplink.status.paths.map(({ localAddress }) => localAddress)).toEqual([
    'nic-of-first',
    'nic-of-second',
    'nic-of-third',
  ]);
});

it('addresses that do not answer cost a head start each, not their timeouts', async () => {
  const world = await makeLinkWorld({ hosts: HOSTS, settings: { connectTimeoutMs: 20_000 } });
  world.network.cut('agent', 'first', 'hang');
  world.network.cut('agent', 'second', 'hang');
  expect(await untilSo(world, () => world.uplink.status.kernel !== null)).toBeLessThan(1000);
  expect(inUse(world)).toBe('third:3119');
});

it('changes to the next address at once, and tells what is wrong with each', async () => {
  const world = await makeLinkWorld({ hosts: HOSTS });
  await world.live(12_000, 5);
  world.network.cut('agent', 'first', 'reset');
  world.network.refuse('second', 3119, true);
  await world.live(300, 5);
  expect(await untilSo(world, () => world.uplink.status.kernel !== null)).toBeLessThan(500);
  expect(inUse(world)).toBe('third:3119');
  const [first, second] = world.uplink.status.paths;
  expect(first?.lastError).toContain('first');
  expect(second?.lastError).toContain('second');
  await world.live(3000, 5);
  await world.clock.advance(2000);
  expect(await isDelivered(world)).toBe(true);
});

it('goes back to the preferred address when it has answered for long enough, and not before', async () => {
  const world = await makeLinkWorld({ hosts: HOSTS });
  world.network.refuse('first', 3119, true);
  world.network.refuse('second', 3119, true);
  await world.live(10_000, 5);
  expect(inUse(world)).toBe('third:3119');
  const since = world.uplink.status.sinceUs;
  // It comes and goes: that is no address to go back to.
  for (let round = 0; round < 4; round++) {
    world.network.refuse('first', 3119, false);
    await world.live(20_000, 5);
    world.network.refuse('first', 3119, true);
    await world.live(10_000, 5);
  }
  expect(world.uplink.status.sinceUs, 'no probe disturbed the session').toBe(since);
  world.network.refuse('first', 3119, false);
  await world.live(25_000, 5);
  expect(inUse(world)).toBe('third:3119');
  const backMs = await untilSo(world, () => inUse(world) === 'first:3119');
  expect(backMs).toBeLessThan(16_000);
  expect(world.uplink.status.shortSessions, 'we ended it ourselves').toBe(0);
  await world.live(3000, 5);
  await world.clock.advance(2000);
  expect(world.state()).toBe('online');
  expect(await isDelivered(world)).toBe(true);
});

it('without a Kernel from the start nothing is lost, and all comes when one appears', async () => {
  const world = await makeLinkWorld({ hosts: HOSTS });
  for (const host of HOSTS) world.network.refuse(host, 3119, true);
  await world.live(120_000, 5);
  expect(world.state()).toBe('outage');
  expect(world.store.backlog.stat().samples).toBeGreaterThan(500);
  world.network.refuse('second', 3119, false);
  expect(await untilSo(world, () => world.state() === 'online')).toBeLessThan(10_000);
  await world.clock.advance(2000);
  expect(await isDelivered(world)).toBe(true);
});
