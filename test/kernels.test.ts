import { describe, expect, it } from 'vitest';
import { groupAlarms } from '../src/kernel/group/group-status.ts';
import { KernelsWorld, type Name, type WorldOptions } from './kernels/kernels-world.ts';

/** Kernels that run, are in the set, and have got something. */
async function running(options: WorldOptions = {}): Promise<KernelsWorld> {
  const world = new KernelsWorld(options);
  await world.start();
  await world.until('a hot Kernel', () => world.status('A').takesSessions);
  await world.produce(1000);
  if (options.ackPolicy !== 'hot') {
    await world.until('the set', () => world.status('A').inSync.length === world.names.length);
  }
  return world;
}

async function allIn(world: KernelsWorld, ...names: readonly Name[]): Promise<void> {
  for (const name of names) await world.until(`all in ${name}`, () => world.hasAll(name));
}

describe('two Kernels', () => {
  it('the hot one hands everything on, and acknowledges what both have', async () => {
    const world = await running();
    await world.produce(5000);
    await allIn(world, 'A', 'B');
    await world.until('all acknowledged', () => world.ackedThrough === world.store.source.producedTo());
    expect(world.status('B')).toMatchObject({ role: 'standby', epoch: 1, hot: 'A', inSync: ['A', 'B'] });
  });

  it('nothing is acknowledged that a member does not have', async () => {
    const world = await running();
    world.network.cut('A', 'B', 'hang');
    for (let step = 0; step < 40; step++) {
      await world.produce(100);
      const [has] = await world.coverage('B');
      expect(world.ackedThrough).toBeLessThanOrEqual(has?.last ?? 0);
    }
    // It leaves the set, and acknowledging goes on without it.
    await world.until('a set without it', () => world.status('A').inSync.length === 1);
    await world.produce(1000);
    await world.until('all acknowledged', () => world.ackedThrough === world.store.source.producedTo());
    world.network.heal('A', 'B');
    await world.until('the set', () => world.status('B').inSync.includes('B'));
    await allIn(world, 'B');
  });

  it('a standby that was away catches up by itself', async () => {
    const world = await running();
    world.kill('B');
    await world.produce(20_000);
    await world.startKernel('B');
    await world.produce(2000);
    await allIn(world, 'A', 'B');
    await world.until('the set', () => world.status('B').inSync.includes('B'));
  });

  it('switch and switch back under load lose and double nothing, and agents follow within 2 s', async () => {
    const world = await running();
    for (const [from, to] of [
      ['A', 'B'],
      ['B', 'A'],
      ['A', 'B'],
    ] as const) {
      const before = world.uplink.status.kernel;
      const switching = world.server(from).group?.handOver(to);
      const atMs = world.clock.monotonicMs();
      for (let step = 0; step < 60 && world.uplink.status.kernel !== `${to}:3119`; step++)
        await world.produce(50);
      expect(before).toBe(`${from}:3119`);
      expect(world.clock.monotonicMs() - atMs).toBeLessThan(2000);
      await world.resolve(switching ?? Promise.reject(new Error('no group')));
      expect(world.status(to)).toMatchObject({ role: 'hot', hot: to, takesSessions: true });
      expect(world.status(from)).toMatchObject({ role: 'standby', overtakenBy: null });
      await world.produce(1000);
    }
    await allIn(world, 'A', 'B');
  });

  it('the hot one dies, the other one is forced, and the first comes back as standby', async () => {
    const world = await running();
    await world.produce(3000);
    world.kill('A');
    await world.produce(2000);
    await expect(world.resolve(world.server('B').group?.handOver('B') ?? Promise.resolve())).rejects.toThrow(
      '--force',
    );
    const lacks = await world.resolve(world.server('B').group?.force() ?? Promise.resolve([]));
    expect(lacks.join()).toContain('was in the last in-sync set');
    await world.until('the agent there', () => world.uplink.status.kernel === 'B:3119');
    await world.produce(2000);
    await allIn(world, 'B');
    await world.startKernel('A');
    await world.until('A as standby', () => world.status('A').role === 'standby');
    await allIn(world, 'A', 'B');
    await world.until('the set', () => world.status('B').inSync.includes('A'));
    expect(world.status('B').epoch).toBe(2);
  });

  it('the hot one that is cut off steps down when it hears of the other one', async () => {
    const world = await running();
    world.network.cut('A', 'B', 'hang');
    await world.produce(7000);
    await world.resolve(world.server('B').group?.force() ?? Promise.resolve([]));
    await world.produce(3000);
    world.network.heal('A', 'B');
    await world.until('A steps down', () => world.status('A').overtakenBy === 'B');
    await world.produce(1000);
    await world.until('the agent there', () => world.uplink.status.kernel === 'B:3119');
    await allIn(world, 'A', 'B');
  });

  it('with acks of the hot one alone, what only it had comes when it is back', async () => {
    const world = await running({ ackPolicy: 'hot' });
    world.network.cut('A', 'B', 'hang');
    await world.produce(3000);
    const acked = world.ackedThrough;
    world.kill('A');
    const [has] = await world.coverage('B');
    expect(has?.last ?? 0).toBeLessThan(acked);
    world.network.heal('A', 'B');
    await world.resolve(world.server('B').group?.force() ?? Promise.resolve([]));
    await world.produce(2000);
    await world.startKernel('A');
    await allIn(world, 'A', 'B');
  });

  it('a replaced machine is filled from the ring; what that does not reach is a gap there', async () => {
    const world = await running({ ringBytes: 20_000 });
    await world.produce(20_000, 30);
    world.kill('B');
    await world.produce(3000, 30);
    world.replace('B');
    await world.startKernel('B');
    await world.until('a set without it', () => !world.status('A').inSync.includes('B'), 1000);
    await world.until('the set', () => world.status('A').inSync.includes('B'));
    const last = world.store.source.producedTo();
    await allIn(world, 'A');
    const [gap, data, more] = await world.coverage('B');
    expect(gap).toMatchObject({ first: 1, state: 'evicted' });
    expect(data).toMatchObject({ first: (gap?.last ?? 0) + 1, state: 'data', last });
    expect(more).toBeUndefined();
  });
});

describe('three Kernels', () => {
  it('what only the lost hot one and one standby have comes to the third through the next', async () => {
    const world = await running({ names: ['A', 'B', 'C'] });
    world.network.cut('A', 'C', 'hang');
    await world.produce(8000);
    world.kill('A');
    await world.resolve(world.server('B').group?.force() ?? Promise.resolve([]));
    await world.until('the agent there', () => world.uplink.status.kernel === 'B:3119');
    await world.produce(1000);
    await allIn(world, 'B', 'C');
    await world.until('the set', () => world.status('B').inSync.join() === 'B,C');
  });
});

describe('a migration', () => {
  it('a pair grows to four, hands over, and shrinks to the new two, by reload and under load', async () => {
    const world = await running({ known: ['A', 'B', 'C', 'D'] });
    await world.regroup(['A', 'B', 'C', 'D']);
    for (let step = 0; step < 100 && world.status('A').inSync.length < 4; step++) await world.produce(200);
    expect(world.status('A').inSync).toEqual(['A', 'B', 'C', 'D']);
    expect(() => world.server('B').group?.reload(world.others('B', ['B', 'C']))).toThrow('A is hot');
    const handing = world.server('A').group?.handOver('C') ?? Promise.resolve();
    await world.produce(2000);
    await world.resolve(handing);
    await world.regroup(['C', 'D']);
    for (const name of ['A', 'B'] as const) world.kill(name);
    await world.produce(2000);
    expect(world.status('C')).toMatchObject({ role: 'hot', inSync: ['C', 'D'] });
    await allIn(world, 'C', 'D');
    await world.until('all acknowledged', () => world.ackedThrough === world.store.source.producedTo());
  });
});

describe('a disk of a forwarding ring that takes nothing', () => {
  it('agents wait, an alarm says why, and all goes on when the disk is well', async () => {
    const world = await running();
    world.machine('A').disk.failing = 'all';
    await world.produce(3000);
    const acked = world.ackedThrough;
    await world.produce(2000);
    expect(world.ackedThrough).toBe(acked);
    expect(groupAlarms(world.status('A')).map(({ code }) => code)).toContain('kernel-ring');
    world.machine('A').disk.failing = 'nothing';
    await allIn(world, 'A', 'B');
    expect(groupAlarms(world.status('A'))).toEqual([]);
  });
});
