import { expect, it } from 'vitest';
import type { SampleValue } from '../../src/domain/sample.ts';
import { KernelServer } from '../../src/kernel/server.ts';
import { silentLog } from '../../src/world/log.ts';
import { createSimulatedRandom } from '../../src/world/simulated/random.ts';
import { isDelivered, type LinkWorld, makeLinkWorld, untilSo } from './link-world.ts';

const TAGS = 40;
/** The tag with index 0 is the alarm of these stories. */
const ALARM = 'P.T0';

function say({ store, clock }: LinkWorld, tagIndex: number, value: SampleValue): void {
  store.accept([{ tagIndex, sourceTimeUs: clock.wallUs(), value, quality: 0, cause: 'change' }]);
}

/** Some seconds without a Kernel, in which much changes, and an alarm comes and goes. */
async function outageWithAlarm(world: LinkWorld): Promise<void> {
  for (let second = 0; second < 60; second++) {
    if (second === 5) say(world, 0, 1);
    if (second === 10) say(world, 0, 0);
    for (let nth = 0; nth < 400; nth++) say(world, 1 + (nth % (TAGS - 1)), Math.sin(second * 1000 + nth));
    await world.clock.advance(1000);
  }
}

/** What an operator sees of the alarm at every moment until the backlog is delivered. */
async function seenMeanwhile(world: LinkWorld, kernel: KernelServer): Promise<unknown[]> {
  const seen: unknown[] = [];
  await untilSo(world, async () => {
    const [alarm] = kernel.presence
      .of('S', 'KomA')
      .values()
      .filter(({ tag }) => tag === ALARM);
    seen.push(alarm?.value);
    return world.state() === 'online' && (await isDelivered(world));
  });
  return seen;
}

/** A Kernel that has the archive of the one before, and nothing else. */
async function restartKernel({ clock, network, archive }: LinkWorld): Promise<KernelServer> {
  const random = createSimulatedRandom(4);
  network.killHost('kernel');
  const kernel = new KernelServer({ archive, programVersion: 'test', clock, random, log: silentLog });
  await network.host('kernel').listen({ host: 'kernel', port: 3119 }, (each) => kernel.accept(each));
  return kernel;
}

it('an alarm that came and went during an outage is in the archive and never in the present', async () => {
  for (const latencyMs of [1, 200]) {
    const world = await makeLinkWorld({ tagCount: TAGS });
    world.network.setLink('agent', 'kernel', { latencyMs, bytesPerSecond: 200_000 });
    say(world, 0, 0);
    await world.clock.advance(3000);
    world.network.cut('agent', 'kernel', 'reset');
    await outageWithAlarm(world);
    world.network.heal('agent', 'kernel');
    await untilSo(world, () => world.uplink.status.kernel !== null);
    expect(new Set(await seenMeanwhile(world, world.kernel))).toEqual(new Set([0]));
  }
});

it('nor at a Kernel that starts meanwhile and knows of no value yet', async () => {
  const world = await makeLinkWorld({ tagCount: TAGS });
  world.network.setLink('agent', 'kernel', { bytesPerSecond: 200_000 });
  world.network.cut('agent', 'kernel', 'reset');
  await outageWithAlarm(world);
  const kernel = await restartKernel(world);
  world.network.heal('agent', 'kernel');
  await untilSo(world, () => world.uplink.status.kernel !== null);
  const seen = await seenMeanwhile(world, kernel);
  expect(seen.length).toBeGreaterThan(20);
  expect(new Set(seen)).toEqual(new Set([undefined, 0]));
  expect(seen.at(-1)).toBe(0);
});

it('a Kernel that starts anew sees the present within a second, also without a backlog', async () => {
  const world = await makeLinkWorld({ tagCount: TAGS });
  for (let tag = 0; tag < TAGS; tag++) say(world, tag, tag);
  await untilSo(world, () => isDelivered(world));
  await world.clock.advance(5000);
  const kernel = await restartKernel(world);
  await untilSo(world, () => kernel.presence.of('S', 'KomA').status.isConnected);
  await world.clock.advance(1000);
  expect(world.state()).toBe('online');
  expect(kernel.presence.of('S', 'KomA').values()).toHaveLength(TAGS);
});
