import { expect, it } from 'vitest';
import { isDelivered, makeLinkWorld, untilSo } from './link-world.ts';

it('a cable that is cut without a word is noticed on both sides within 1.5 s', async () => {
  for (const waitMs of [0, 130, 260, 390]) {
    const world = await makeLinkWorld();
    await world.live(5000, 2);
    await world.clock.advance(waitMs);
    expect(world.state()).toBe('online');
    world.network.cut('agent', 'kernel', 'hang');
    const agentMs = untilSo(world, () => world.uplink.status.kernel === null);
    expect(await agentMs).toBeLessThanOrEqual(1500);
    expect(world.uplink.status.lastError).toContain('silent');
    const kernelMs = await untilSo(world, () => !world.presence().status.isConnected);
    expect((await agentMs) + kernelMs, 'the Kernel').toBeLessThanOrEqual(1500);
    world.network.heal('agent', 'kernel');
    await world.live(8000, 2);
    await world.clock.advance(2000);
    expect(await isDelivered(world)).toBe(true);
  }
});

it('both sides agree on the pace of the site file, also on a patient one', async () => {
  const world = await makeLinkWorld({ settings: { heartbeatMs: 2000, silenceMaxMs: 10_000 } });
  await world.live(5000, 2);
  world.network.cut('agent', 'kernel', 'hang');
  await world.live(8000, 2);
  expect(world.uplink.status.kernel).not.toBeNull();
  expect(world.presence().status.isConnected).toBe(true);
  expect(await untilSo(world, () => world.uplink.status.kernel === null)).toBeLessThanOrEqual(3000);
  await untilSo(world, () => !world.presence().status.isConnected);
});

it('a link that is up for a second at a time does not flap the state and delivers', async () => {
  const world = await makeLinkWorld();
  await world.live(2000, 5);
  const states: string[] = [];
  let heldMs = 0;
  for (let round = 0; round < 60; round++) {
    world.network.cut('agent', 'kernel', 'reset');
    await world.live(1000, 5, () => states.push(world.state()));
    world.network.heal('agent', 'kernel');
    await world.live(1000, 5, () => {
      states.push(world.state());
      heldMs = Math.max(heldMs, world.uplink.status.heldForMs);
    });
  }
  const changes = states.filter((state, at) => at > 0 && state !== states[at - 1]).length;
  expect(changes, 'in two minutes').toBeLessThanOrEqual(6);
  expect(states.slice(100).every((state) => state === 'outage')).toBe(true);
  expect(heldMs, 'it shows').toBeGreaterThan(10_000);
  expect(world.uplink.status.shortSessions).toBeGreaterThan(5);
  await world.live(1000, 5);
  const held = world.store.backlog.stat().samples;
  expect(held, 'the ring drains whenever the link is there').toBeLessThan(100);
  await untilSo(world, () => world.state() === 'online');
  expect(world.uplink.status.heldForMs).toBe(0);
  await world.live(15_000, 5);
  await world.clock.advance(2000);
  expect(await isDelivered(world)).toBe(true);
});

it('after one loss the link counts at once', async () => {
  const world = await makeLinkWorld();
  await world.live(3000, 5);
  world.network.cut('agent', 'kernel', 'reset');
  await world.live(2000, 5);
  world.network.heal('agent', 'kernel');
  await untilSo(world, () => world.uplink.status.kernel !== null);
  expect(world.uplink.status.heldForMs).toBe(0);
  expect(await untilSo(world, () => world.state() === 'online')).toBeLessThan(2000);
});
