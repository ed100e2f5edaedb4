import { describe, expect, it } from 'vitest';
import { type Instance, MirrorWorld } from './mirror/mirror-world.ts';

async function pair(options: ConstructorParameters<typeof MirrorWorld>[0] = {}) {
  const world = new MirrorWorld(options);
  await world.serve();
  const [one, two] = [await world.start(1), await world.start(2)];
  await world.clock.advance(2000);
  return { world, one, two };
}

const streamOf = ({ store }: Instance): string => store.ring.stream.streamId;
const all = ({ store }: Instance) => [{ first: 1, last: store.producedTo }];

describe('a pair with mirrors', () => {
  it('forgets what the Kernel has, and holds nothing for long', async () => {
    const { world, one, two } = await pair();
    await world.produce(one, 5000);
    one.store.finish();
    await world.clock.advance(2000);
    await world.until(() => two.mirror.status.heldSamples === 0);
    expect(await world.data(streamOf(one))).toEqual(all(one));
    expect(one.mirror.lagBytes).toBe(0);
    expect(two.mirror.status).toMatchObject({ diskBytes: 0, deliversFor: [] });
  });

  it('brings the backlog of an instance that was destroyed in an outage, and doubles nothing', async () => {
    const { world, one, two } = await pair();
    await world.produce(one, 3000);
    for (const instance of [1, 2]) world.cutUplink(instance);
    await world.produce(one, 20_000);
    one.store.finish();
    await world.until(() => one.mirror.lagBytes === 0);
    const [streamId, produced] = [streamOf(one), one.store.producedTo];
    expect((await world.data(streamId))[0]?.last).toBeLessThan(produced);
    await world.destroy(one);
    await world.clock.advance(3000);
    expect(two.mirror.status.diskBytes, 'what remains is written').toBeGreaterThan(0);
    world.healUplink(2);
    await world.until(async () => (await world.data(streamId)).at(-1)?.last === produced);
    expect(await world.data(streamId)).toEqual([{ first: 1, last: produced }]);
    await world.until(() => two.mirror.status.heldSamples === 0);
    world.healUplink(1);
    const again = await world.start(1);
    await world.produce(again, 5000);
    await world.until(
      async () => (await world.data(streamOf(again))).at(-1)?.last === again.store.producedTo,
    );
    const samples = await world.archive.samples({
      ...{ site: 'S', tag: 'P.T', fromUs: 0, toUs: Number.MAX_SAFE_INTEGER, limit: 1_000_000 },
    });
    expect(samples).toHaveLength(produced + again.store.producedTo);
    expect(new Set(samples.map(({ streamId: id, sequence }) => `${id}/${sequence}`)).size).toBe(
      samples.length,
    );
    const known = await world.archive.streams('S', 'KomA');
    expect(known.find((each) => each.streamId === streamId)?.instance, 'it stays its owner’s').toBe(1);
  });

  it('delivers through the peer while its own uplink is dead, and its ring empties', async () => {
    const { world, one, two } = await pair();
    world.cutUplink(1);
    await world.produce(one, 20_000);
    one.store.finish();
    await world.until(async () => (await world.data(streamOf(one))).at(-1)?.last === one.store.producedTo);
    expect(await world.data(streamOf(one))).toEqual(all(one));
    expect(two.mirror.status.deliversFor).toEqual([streamOf(one)]);
    await world.until(() => one.store.backlog.stat().samples === 0);
    await world.until(() => two.mirror.status.heldSamples === 0);
    world.healUplink(1);
    await world.until(() => two.mirror.status.deliversFor.length === 0);
  });

  it('survives a restart of the standby', async () => {
    const { world, one, two } = await pair({ buffer: { store: 'always' } });
    for (const instance of [1, 2]) world.cutUplink(instance);
    await world.produce(one, 10_000);
    one.store.finish();
    await world.until(() => one.mirror.lagBytes === 0);
    await two.halt();
    await two.mirror.close();
    await two.store.ring.close();
    const [streamId, produced] = [streamOf(one), one.store.producedTo];
    await world.destroy(one);
    const again = await world.start(2);
    world.healUplink(2);
    await world.until(async () => (await world.data(streamId)).at(-1)?.last === produced);
    expect(await world.data(streamId)).toEqual([{ first: 1, last: produced }]);
    await world.until(() => again.mirror.status.heldSamples === 0);
  });

  it('catches up from the ring after a cut of the peer link', async () => {
    const { world, one, two } = await pair();
    for (const instance of [1, 2]) world.cutUplink(instance);
    await world.produce(one, 2000);
    world.cutPeers();
    await world.produce(one, 20_000);
    expect(one.mirror.lagBytes).toBeGreaterThan(0);
    world.healPeers();
    one.store.finish();
    await world.until(() => one.mirror.lagBytes === 0);
    expect(two.mirror.status.heldSamples).toBe(one.store.producedTo);
  });

  it('holds the newest half of a backlog that is larger than a mirror may be', async () => {
    const { world, one, two } = await pair({ mirrorCapacityBytes: 200_000, buffer: { windowBytes: 40_000 } });
    for (const instance of [1, 2]) world.cutUplink(instance);
    await world.produce(one, 120_000, 100);
    one.store.finish();
    await world.clock.advance(10_000);
    const { diskBytes, heldSamples } = two.mirror.status;
    expect(diskBytes).toBeLessThanOrEqual(100_000);
    expect(heldSamples).toBeLessThan(one.store.producedTo);
    const [streamId, produced] = [streamOf(one), one.store.producedTo];
    world.cutPeers();
    await world.clock.advance(2000);
    world.healPeers();
    await world.clock.advance(10_000);
    expect(two.mirror.status.heldSamples, 'a new link sends nothing again').toBe(heldSamples);
    await world.destroy(one);
    await world.clock.advance(2000);
    world.healUplink(2);
    await world.until(() => two.mirror.status.heldSamples === 0);
    const [data, ...rest] = (await world.data(streamId)).filter(({ last }) => last === produced);
    expect(rest).toEqual([]);
    expect((data?.last ?? 0) - (data?.first ?? 0) + 1).toBe(heldSamples);
  });

  it('holds back store-lost until no mirror lists the stream, and then tells what is missing', async () => {
    const { world, one, two } = await pair();
    await world.produce(one, 3000);
    for (const instance of [1, 2]) world.cutUplink(instance);
    await world.produce(one, 5000);
    one.store.finish();
    await world.until(() => one.mirror.lagBytes === 0);
    // Of the last seconds only the owner had anything.
    world.cutPeers();
    const streamId = streamOf(one);
    await world.destroy(one);
    await world.clock.advance(2000);
    world.healUplink(2);
    world.healUplink(1);
    const again = await world.start(1);
    await world.until(() => two.mirror.status.heldSamples === 0);
    await world.produce(again, 3000);
    const states = (await world.archive.coverage(streamId)).map(({ state }) => state);
    expect(states).toEqual(['data', 'store-lost']);
  });
});
