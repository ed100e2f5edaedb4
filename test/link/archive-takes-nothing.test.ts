import { expect, it } from 'vitest';
import { AgentAlarms } from '../../src/agent/agent-alarms.ts';
import { AgentClock } from '../../src/agent/agent-clock.ts';
import { silentLog } from '../../src/world/log.ts';
import { isDelivered, type LinkWorld, makeLinkWorld, RADIO, untilSo } from './link-world.ts';

/** The alarms of an agent that has the store and the uplink of a world. */
function alarmsOf({ store, uplink, clock }: LinkWorld): () => string[] {
  const alarms = new AgentAlarms({
    instances: () => [
      {
        ...store.status,
        ...{ process: 'KomA', instance: 1, uplink: uplink.status, alarms: null },
        clock: new AgentClock({ system: clock, mode: 'system', bootId: 'b'.repeat(32) }).status,
        ...{ lines: [], member: null, fitness: [] },
      },
    ],
    certificate: () => null,
    clock,
    log: silentLog,
  });
  alarms.start();
  return () => alarms.standing.map(({ code, text }) => `${code}: ${text}`);
}

it('an agent whose Kernel is there and archives nothing says so, until it does again', async () => {
  const world = await makeLinkWorld();
  const standing = alarmsOf(world);
  await world.live(5000, 10);
  world.archive.failNext(Number.POSITIVE_INFINITY);
  await world.live(50_000, 10);
  expect(world.uplink.status.kernel).not.toBeNull();
  expect(standing()).toEqual([]);
  await world.live(20_000, 10);
  expect(world.uplink.status.kernel).not.toBeNull();
  expect(standing()).toEqual([expect.stringMatching(/^kernel-acknowledges-nothing: .* \d+ samples wait/)]);
  world.archive.failNext(0);
  await world.live(5000, 10);
  expect(standing()).toEqual([]);
});

it('a slow link, a quiet plant and what an operator holds back are no such case', async () => {
  const world = await makeLinkWorld({ settings: RADIO });
  const seen = new Set<string>();
  const standing = alarmsOf(world);
  const look = (): void => {
    for (const text of standing()) seen.add(text);
  };
  world.network.setLink('agent', 'kernel', { latencyMs: 300, bytesPerSecond: 1000 });
  world.network.cut('agent', 'kernel', 'reset');
  await world.live(50_000, 100);
  world.network.heal('agent', 'kernel');
  await untilSo(world, async () => {
    look();
    return await isDelivered(world);
  });
  await world.live(120_000, 0.05, look);
  world.store.backlog.setSendMode('on-request');
  await world.live(75_000, 1, look);
  expect(world.store.status.backlog.samples).toBeGreaterThan(50);
  expect([...seen]).toEqual([]);
});
