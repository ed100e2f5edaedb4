import { describe, expect, it } from 'vitest';
import { KernelsWorld, type Name } from './kernels/kernels-world.ts';
import { PAST, putPast, toldOfPast } from './kernels/past.ts';

/** A standby that lacks what no forwarding ring holds any more. */

/** Numbers of the past, some 100 kB of blocks. */
const COUNT = 12_000;
/** So that it takes some ten seconds. */
const BYTES_PER_SECOND = 12_000;

/** A hot Kernel with a past, a standby that has all but that, and an agent; over a slow link. */
async function withPast(names: readonly Name[] = ['A', 'B']): Promise<KernelsWorld> {
  const world = new KernelsWorld({ names, ringBytes: 100_000 });
  await putPast(world.machine('A').archive, COUNT, world.clock.wallUs() - 86_400_000_000);
  world.network.setLink('A', 'B', { bytesPerSecond: BYTES_PER_SECOND });
  await world.start();
  await world.until('a hot Kernel', () => world.status('A').takesSessions);
  return world;
}

async function pastAt(world: KernelsWorld, name: Name): Promise<number> {
  const ranges = await world.machine(name).archive.coverage(PAST);
  return ranges.reduce((sum, { first, last, state }) => sum + (state === 'data' ? last - first + 1 : 0), 0);
}

async function untilHalf(world: KernelsWorld, name: Name): Promise<void> {
  while ((await pastAt(world, name)) < COUNT / 4) await world.produce(100);
  expect(await pastAt(world, name)).toBeLessThan(COUNT);
}

async function expectAll(world: KernelsWorld, ...names: readonly Name[]): Promise<void> {
  const told = [];
  for (const name of names) {
    await world.until(`the past at ${name}`, async () => (await pastAt(world, name)) === COUNT, 120_000);
    await world.until(`all in ${name}`, () => world.hasAll(name));
    told.push(await toldOfPast(world.machine(name).archive));
  }
  for (const each of told) expect(each).toEqual(told[0]);
  expect(told[0]?.ofTags.map(({ samples }) => samples.length > 0)).toEqual([true, true, true]);
}

describe('a standby without the past', () => {
  it('gets it while the present goes first, and is in the set when it has all', async () => {
    const world = await withPast();
    let behind = 0;
    for (let step = 0; (await pastAt(world, 'B')) < COUNT; step++) {
      await world.produce(100);
      const [present] = await world.coverage('B');
      // One sample a 20 ms: what is on its way is that which waits behind a little of the past.
      if (step > 50) behind = Math.max(behind, world.store.source.producedTo() - (present?.last ?? 0));
      const there = await pastAt(world, 'B');
      if (there < COUNT) expect(world.status('A').inSync).toEqual(['A']);
      if (there > COUNT / 2 && there < COUNT) {
        const lacking = world.status('A').kernels[0]?.lacking ?? 0;
        expect(Math.abs(lacking - (COUNT - there))).toBeLessThan(COUNT / 4);
      }
      expect(step).toBeLessThan(600);
    }
    expect(behind).toBeLessThan(60);
    await world.until('the set', () => world.status('B').inSync.includes('B'));
    await expectAll(world, 'A', 'B');
  });

  it('is killed half-way, then the hot one, and gets the rest', async () => {
    const world = await withPast();
    await untilHalf(world, 'B');
    for (const name of ['B', 'A'] as const) {
      world.kill(name);
      await world.produce(1000);
      await world.startKernel(name);
      await world.produce(1000);
    }
    await expectAll(world, 'A', 'B');
  });

  it('is forced to be hot half-way, and gets the rest of the former one', async () => {
    const world = await withPast();
    await untilHalf(world, 'B');
    world.kill('A');
    await world.resolve(world.server('B').group?.force() ?? Promise.resolve([]));
    await world.until('the agent there', () => world.uplink.status.kernel === 'B:3119');
    await world.produce(1000);
    await world.startKernel('A');
    await world.produce(1000);
    await expectAll(world, 'B', 'A');
    // And hands it on when it has it.
    await world.until('the set', () => world.status('B').inSync.length === 2);
    await world.resolve(world.server('B').group?.handOver('A') ?? Promise.reject(new Error('no group')));
    expect(world.status('A')).toMatchObject({ role: 'hot', takesSessions: true });
  });

  it('has a gap where the hot one has no rows any more, and data as soon as somebody has it', async () => {
    const world = await withPast(['A', 'B', 'C']);
    await world.until('the past at C', async () => (await pastAt(world, 'C')) === COUNT, 120_000);
    world.kill('C');
    world.kill('B');
    world.replace('B');
    world.machine('A').archive.dropSamples(PAST, { first: 1001, last: 2000 });
    await world.startKernel('B');
    await world.until('the set', () => world.status('A').inSync.includes('B'), 120_000);
    const ranges = await world.machine('B').archive.coverage(PAST);
    const lost = ranges.filter(({ state }) => state === 'evicted');
    // The time gaps among them have their own rows.
    expect(lost.length).toBeGreaterThan(5);
    expect([lost[0]?.first, lost.at(-1)?.last]).toEqual([1001, 2000]);
    expect(ranges.every(({ state }) => state === 'data' || state === 'evicted')).toBe(true);
    const query = { site: 'S', tag: 'Q.old', fromUs: 0, toUs: Number.MAX_SAFE_INTEGER };
    const told = (await world.machine('B').archive.gaps(query)).filter(({ kind }) => kind === 'sequence');
    expect(told).toHaveLength(lost.length);
    for (const { fromUs, toUs } of told) expect(toUs - fromUs).toBeLessThan(200_000);
    // The third one has them, and becomes hot.
    await world.startKernel('C');
    await world.until('the set', () => world.status('A').inSync.length === 3, 120_000);
    await world.resolve(world.server('A').group?.handOver('C') ?? Promise.reject(new Error('no group')));
    await world.until('the past at B', async () => (await pastAt(world, 'B')) === COUNT, 120_000);
    expect(await toldOfPast(world.machine('B').archive)).toEqual(
      await toldOfPast(world.machine('C').archive),
    );
  });
});

describe('a standby that was away while the ring reached', () => {
  it('has the present at once, the past behind it, and it is told how far it is', async () => {
    const world = new KernelsWorld();
    await world.start();
    await world.until('the set', () => world.status('A').inSync.length === 2);
    world.kill('B');
    await world.produce(60_000, 50);
    world.network.setLink('A', 'B', { bytesPerSecond: BYTES_PER_SECOND });
    await world.startKernel('B');
    const producedTo = (): number => world.store.source.producedTo();
    const lasts: { readonly behind: number; readonly lacking: number }[] = [];
    for (let step = 0; !world.status('A').inSync.includes('B'); step++) {
      await world.produce(100);
      expect(step).toBeLessThan(600);
      const [follower] = world.status('A').kernels;
      const there = (await world.coverage('B')).at(-1)?.last ?? 0;
      const lacking = follower?.lacking ?? 0;
      if (step < 50 || lacking < 10_000) continue;
      lasts.push({ behind: producedTo() - there, lacking });
      expect(follower?.catchUp.lackedAtMost).toBeGreaterThan(29_000);
      expect(follower?.catchUp.arrivedPerS).toBeGreaterThan(50);
      const leftMs = follower?.catchUp.leftMs ?? 0;
      expect(leftMs).toBeGreaterThan(1000);
      expect(leftMs).toBeLessThan(60_000);
    }
    expect(lasts.length).toBeGreaterThan(20);
    for (const { behind } of lasts) expect(behind).toBeLessThan(200);
    await world.until('all in B', () => world.hasAll('B'));
    // Held back on the way to the standby only: it came here as it happened, and is told so there.
    const query = { site: 'S', tag: 'P.T', fromUs: 0, toUs: Number.MAX_SAFE_INTEGER, limit: 1_000_000 };
    const [a, b] = [
      await world.machine('A').archive.samples(query),
      await world.machine('B').archive.samples(query),
    ];
    const told = (rows: typeof a) => rows.map(({ receivedAtUs: _, ...row }) => row);
    expect(told(b)).toEqual(told(a));
    await world.until('nothing lacking', () => world.status('A').kernels[0]?.lacking === 0);
    expect(world.status('A').kernels[0]?.catchUp).toMatchObject({ lackedAtMost: 0 });
  });
});
