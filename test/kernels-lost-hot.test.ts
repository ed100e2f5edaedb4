import { describe, expect, it } from 'vitest';
import { groupAlarms } from '../src/kernel/alarms.ts';
import { SimulatedArchive } from '../src/world/simulated/archive.ts';
import { KernelsWorld, type Name } from './kernels/kernels-world.ts';
import { PAST, putPast } from './kernels/past.ts';

/** A hot Kernel that comes back without what it had. */

/** Numbers of a stream that has ended, some 100 kB of blocks. */
const COUNT = 12_000;

function alarm(world: KernelsWorld, name: Name, code: string): string | undefined {
  return groupAlarms(world.status(name)).find((each) => each.code === code)?.text;
}

async function pastAt(world: KernelsWorld, name: Name): Promise<number> {
  const ranges = await world.machine(name).archive.coverage(PAST);
  return ranges.reduce((sum, { first, last, state }) => sum + (state === 'data' ? last - first + 1 : 0), 0);
}

/** All of them have a past, and are in the set of `A`. */
async function running(names: readonly Name[] = ['A', 'B']): Promise<KernelsWorld> {
  const world = new KernelsWorld({ names, ringBytes: 100_000 });
  await putPast(world.machine('A').archive, COUNT, world.clock.wallUs() - 86_400_000_000);
  await world.start();
  const all = names.length;
  await world.until('the set', () => names.every((name) => world.status(name).inSync.length === all));
  expect(await pastAt(world, 'B')).toBe(COUNT);
  return world;
}

async function force(world: KernelsWorld, name: Name): Promise<string> {
  return (await world.resolve(world.server(name).group?.force() ?? Promise.resolve([]))).join();
}

describe('the hot machine is replaced by one with an empty disk, and nobody was made hot', () => {
  it('is not hot by the word of others, and all name the command that makes a complete one hot', async () => {
    const world = await running();
    world.kill('A');
    world.replace('A');
    await world.startKernel('A');
    await world.until('a reign of nobody', () => world.status('A').epoch === 2);
    await world.produce(12_000);
    for (const name of ['A', 'B'] as const) {
      expect(world.status(name)).toMatchObject({ role: 'standby', epoch: 2, hot: '', takesSessions: false });
      const command = 'kom kernel switch kernel.json --to B --force, given';
      expect(alarm(world, name, 'kernel-nobody-hot')).toContain(
        `${command} ${name === 'A' ? 'at B' : 'here'}`,
      );
    }
    expect(await force(world, 'B')).toContain('was in the last in-sync set');
    await world.until('the set', () => world.status('B').inSync.includes('A'));
    await world.produce(1000);
    for (const name of ['A', 'B'] as const) {
      await world.until(`all in ${name}`, () => world.hasAll(name));
      expect(await pastAt(world, name)).toBe(COUNT);
      expect((await world.coverage(name)).map(({ state }) => state)).toEqual(['data']);
    }
  });

  it('started again and again it is a standby, and forced it says that its disk was new', async () => {
    const world = await running();
    world.kill('A');
    world.replace('A');
    for (let start = 0; start < 2; start++) {
      await world.startKernel('A');
      await world.produce(5000);
      expect(world.status('A')).toMatchObject({ role: 'standby', epoch: 2, hot: '', inSync: ['B'] });
      if (start === 0) world.kill('A');
    }
    const lacks = await force(world, 'A');
    expect(lacks).toContain('its disk was new');
    expect(lacks).toContain('was not in the last in-sync set');
  });

  it('of three the set is named that the ones that are left know, and not the lost one', async () => {
    const world = await running(['A', 'B', 'C']);
    world.kill('C');
    await world.until('a set without it', () => world.status('B').inSync.length === 2);
    world.kill('A');
    world.replace('A');
    await world.startKernel('A');
    await world.startKernel('C');
    await world.produce(15_000);
    for (const name of ['A', 'C'] as const) {
      expect(alarm(world, name, 'kernel-nobody-hot')).toContain('--to B --force, given at B');
    }
  });

  it('one that began a reign of its own, alone, is hot no more when it hears of the former one', async () => {
    const world = await running();
    world.kill('A');
    world.replace('A');
    // The first one of its file: cut off it takes itself for the first one of all.
    world.network.cut('A', 'B', 'reset');
    await world.startKernel('A');
    await world.until('a hot Kernel', () => world.status('A').role === 'hot');
    expect(world.status('A').inSync).toEqual(['A']);
    world.network.heal('A', 'B');
    // In the same epoch, of which the other one knows a later set.
    await world.until('a standby', () => world.status('A').role === 'standby');
    expect(world.status('A')).toMatchObject({ epoch: 2, hot: '', overtaken: { by: 'B' } });
    await force(world, 'B');
    await world.until('the set', () => world.status('B').inSync.includes('A'));
    expect(await pastAt(world, 'A')).toBe(COUNT);
  });
});

it('a Kernel that dies before it hears that it is hot by a switch is hot when it is back', async () => {
  const world = await running();
  const handing = world
    .server('A')
    .group?.handOver('B')
    .catch(() => {});
  while (world.status('A').epoch === 1) await world.clock.advance(1);
  world.kill('B');
  await world.resolve(handing ?? Promise.reject(new Error('no group')));
  await world.startKernel('B');
  await world.until('hot', () => world.status('B').takesSessions);
  expect(world.status('B')).toMatchObject({ role: 'hot', epoch: 2 });
});

it('what a hot one lacks whose archive alone is lost is told at both until it has come', async () => {
  const world = await running();
  world.network.setLink('A', 'B', { bytesPerSecond: 6000 });
  world.kill('A');
  world.machine('A').archive = new SimulatedArchive();
  await world.startKernel('A');
  await world.until('a hot Kernel', () => world.status('A').role === 'hot');
  await world.produce(12_000);
  expect(world.status('A').kernels[0]?.toGet).toBeGreaterThan(1000);
  expect(world.status('B').kernels[0]?.toGive).toBeGreaterThan(1000);
  expect(alarm(world, 'A', 'kernel-lacks')).toMatch(
    /^A is hot and lacks \d+ values that B has.*do not replace B/,
  );
  expect(alarm(world, 'B', 'kernel-lacks')).toMatch(
    /^A is hot and lacks \d+ values that are here.*replace B/,
  );
  await world.until('the past', async () => (await pastAt(world, 'A')) === COUNT, 120_000);
  await world.produce(3000);
  for (const name of ['A', 'B'] as const) expect(alarm(world, name, 'kernel-lacks')).toBeUndefined();
});
