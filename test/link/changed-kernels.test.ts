import { expect, it } from 'vitest';
import { isDelivered, type LinkWorld, type LinkWorldOptions, makeLinkWorld, untilSo } from './link-world.ts';

const HOSTS = ['first', 'second', 'third'];
const inUse = (world: LinkWorld) =>
  world.uplink.status.paths.find(({ state }) => state === 'in-use')?.address;

/** The site file names these from now on, the preferred one first. */
function name(
  world: LinkWorld,
  hosts: readonly string[],
  local: Readonly<Record<string, string>> = {},
): void {
  world.uplink.change({
    kernels: hosts.map((host) => ({ host, port: 3119, insecure: true, localAddresses: local })),
    ...{ allowFrom: [], siteHash: 'b'.repeat(32) },
  });
}

/** A session with the first one that is not watched any more, with no backlog. */
async function settled(options: LinkWorldOptions = {}): Promise<LinkWorld> {
  const world = await makeLinkWorld({ hosts: HOSTS, ...options });
  await world.live(12_000, 5);
  expect(inUse(world)).toBe('first:3119');
  return world;
}

it('a session with one that stays goes on while others come, go and change their order', async () => {
  const world = await settled();
  const { sinceUs } = world.uplink.status;
  const look = () => expect(world.state()).toBe('online');
  for (const hosts of [['first', 'fourth'], ['first'], ['first', 'third', 'second'], HOSTS]) {
    name(world, hosts);
    expect(world.uplink.status.paths.map(({ address }) => address)).toEqual(
      hosts.map((host) => `${host}:3119`),
    );
    await world.live(7000, 5, look);
  }
  // Another local address on the path of another server is nothing to this one.
  name(world, HOSTS, { Server2: 'another-nic' });
  await world.live(2000, 5, look);
  expect(world.uplink.status).toMatchObject({ sinceUs, lastError: null });
  await world.clock.advance(1000);
  expect(await isDelivered(world)).toBe(true);
});

it('a session with one that is gone ends in order, and the next one gets the rest at once', async () => {
  const world = await settled();
  world.produce(50);
  name(world, ['third', 'second']);
  expect(await untilSo(world, () => inUse(world) === 'third:3119')).toBeLessThan(200);
  expect(world.uplink.status).toMatchObject({ lastError: null, shortSessions: 0 });
  expect(world.uplink.status.paths.map(({ address }) => address)).toEqual(['third:3119', 'second:3119']);
  await world.live(3000, 5);
  await world.clock.advance(1000);
  expect(await isDelivered(world)).toBe(true);
});

it('one that is preferred now is gone to as ever: when it has answered for long enough', async () => {
  const world = await settled({ settings: { returnAfterMs: 20_000 } });
  name(world, ['second', 'first']);
  await world.live(10_000, 5);
  expect(inUse(world)).toBe('first:3119');
  expect(await untilSo(world, () => inUse(world) === 'second:3119')).toBeLessThan(21_000);
  expect(world.uplink.status.lastError).toBeNull();
});

it('another local address of the path in use is taken with a session of its own', async () => {
  const world = await settled();
  const { sinceUs } = world.uplink.status;
  name(world, HOSTS, { Server1: 'new-nic' });
  await untilSo(world, () => inUse(world) === 'first:3119' && world.uplink.status.sinceUs > sinceUs);
  expect(world.uplink.status.paths[0]).toMatchObject({ localAddress: 'new-nic', state: 'in-use' });
});

it('while none answers, a new one is dialled at once, and a pause of one that stays is kept', async () => {
  const world = await settled({ settings: { reconnectDelayMinMs: 60_000, reconnectDelayMaxMs: 60_000 } });
  for (const host of HOSTS) world.network.refuse(host, 3119, true);
  world.network.cut('agent', 'first', 'reset');
  await world.live(2000, 5);
  expect(world.uplink.status.kernel).toBeNull();
  world.network.refuse('second', 3119, false);
  name(world, ['first', 'second']);
  await world.live(5000, 5);
  expect(world.uplink.status.kernel).toBeNull();
  name(world, []);
  await world.live(2000, 5);
  expect(world.uplink.status.paths).toEqual([]);
  world.network.refuse('third', 3119, false);
  name(world, ['first', 'third']);
  expect(await untilSo(world, () => inUse(world) === 'third:3119')).toBeLessThan(200);
  await untilSo(world, () => world.state() === 'online');
  await world.clock.advance(2000);
  expect(await isDelivered(world)).toBe(true);
});

it('one that is being greeted is dialled anew, and that counts as no failure', async () => {
  let connections = 0;
  const world = await makeLinkWorld({
    hosts: ['first'],
    settings: { reconnectDelayMinMs: 60_000, reconnectDelayMaxMs: 60_000 },
    transport: (network) => {
      const host = network.host('agent');
      // The data lane of the first try hangs.
      const connect: typeof host.connect = async (address, how) => {
        connections += 1;
        if (connections === 2)
          await new Promise((_, reject) => how.signal?.addEventListener('abort', reject));
        return await host.connect(address, how);
      };
      return { ...host, connect };
    },
  });
  await untilSo(world, () => connections === 2);
  name(world, ['first', 'second']);
  expect(await untilSo(world, () => inUse(world) === 'first:3119')).toBeLessThan(200);
});
