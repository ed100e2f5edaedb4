import { describe, expect, it } from 'vitest';
import { groupAlarms } from '../src/kernel/alarms.ts';
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

  it('a hot Kernel that has begun takes sessions while a standby dies or an agent comes anew', async () => {
    const world = await running({ names: ['A', 'B', 'C'] });
    const isTaking: boolean[] = [];
    const watch = world.clock.repeat('watch', 10, () => isTaking.push(world.status('A').takesSessions));
    world.kill('B');
    world.uplink.change({ kernels: [], allowFrom: [], siteHash: 'c'.repeat(32) });
    await world.produce(100);
    world.reloadAgent(['A', 'C']);
    await world.until('a session', () => world.uplink.status.kernel === 'A:3119', 1000);
    const acked = world.ackedThrough;
    const handing = world.server('A').group?.handOver('C') ?? Promise.resolve();
    watch.cancel();
    await world.produce(2000);
    await world.resolve(handing);
    expect(isTaking).not.toContain(false);
    expect(acked).toBeLessThanOrEqual((await world.coverage('B'))[0]?.last ?? 0);
    await world.until('all acknowledged', () => world.ackedThrough === world.store.source.producedTo());
    await allIn(world, 'A', 'C');
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
    await world.until('A steps down', () => world.status('A').overtaken?.by === 'B');
    await world.produce(1000);
    await world.until('the agent there', () => world.uplink.status.kernel === 'B:3119');
    await allIn(world, 'A', 'B');
  });

  it('with acks of the hot one alone, what only it had comes when it is back', async () => {
    const world = await running({ ackPolicy: 'hot' });
    world.network.cut('A', 'B', 'hang');
    const through = async (name: Name) => (await world.coverage(name))[0]?.last ?? 0;
    // How far the other one is behind is told while it is connected, and when it is not any more.
    for (const isConnected of [true, false, false]) {
      await world.produce(isConnected ? 2000 : 5000);
      await world.clock.advance(500);
      const lacking = (await through('A')) - (await through('B'));
      expect(lacking).toBeGreaterThan(isConnected ? 10 : 50);
      expect(world.status('A').kernels).toMatchObject([{ isConnected, lacking }]);
    }
    const acked = world.ackedThrough;
    world.kill('A');
    expect(await through('B')).toBeLessThan(acked);
    world.network.heal('A', 'B');
    await world.resolve(world.server('B').group?.force() ?? Promise.resolve([]));
    await world.produce(2000);
    await world.startKernel('A');
    await allIn(world, 'A', 'B');
  });

  it('a replaced machine gets everything, also what no ring reaches any more', async () => {
    const world = await running({ ringBytes: 20_000 });
    await world.produce(20_000, 30);
    world.kill('B');
    await world.produce(3000, 30);
    world.replace('B');
    await world.startKernel('B');
    await world.until('a set without it', () => !world.status('A').inSync.includes('B'), 1000);
    await world.until('the set', () => world.status('A').inSync.includes('B'));
    await allIn(world, 'A', 'B');
  });
});

describe('what an agent shows of the way to each Kernel', () => {
  const pathTo = ({ uplink }: KernelsWorld, name: Name) =>
    uplink.status.paths.find(({ address }) => address === `${name}:3119`);

  it('a standby that it hears, also behind an error; an error with its time, while it lasts', async () => {
    const world = await running();
    const { heardSinceUs: firstUs, ...path } = pathTo(world, 'B') ?? {};
    expect(path).toMatchObject({ state: 'standby', lastError: null, failedUs: null });
    world.kill('B');
    await world.produce(3000);
    const lost = pathTo(world, 'B');
    expect(lost).toMatchObject({ state: 'waits', heardSinceUs: null });
    expect(lost?.lastError).toContain('B:3119');
    expect(world.clock.wallUs() - (lost?.failedUs ?? 0)).toBeLessThan(1.1e6);
    const backUs = world.clock.wallUs();
    await world.startKernel('B');
    await world.produce(3000);
    const back = pathTo(world, 'B');
    expect(back).toMatchObject({ state: 'standby', lastError: null, failedUs: null });
    expect(back?.heardSinceUs).toBeGreaterThan(Math.max(backUs, firstUs ?? 0));
  });

  it('what a Kernel said while nobody knew who is hot is over once it is a standby', async () => {
    const world = new KernelsWorld();
    await world.startKernel('B');
    await world.startAgent();
    const said = new Set<string | null>();
    for (let step = 0; step < 50; step++) {
      await world.produce(100);
      said.add(world.uplink.status.lastError);
    }
    expect([...said]).toContainEqual(expect.stringContaining('it is not known who is hot'));
    await world.startKernel('A');
    await world.until('a session', () => world.uplink.status.kernel === 'A:3119');
    await world.produce(2000);
    expect(pathTo(world, 'A')).toMatchObject({ state: 'in-use', lastError: null });
    expect(pathTo(world, 'B')).toMatchObject({ state: 'standby', lastError: null });
    await world.resolve(world.server('A').group?.handOver('B') ?? Promise.resolve());
    await world.until('the new one', () => world.uplink.status.kernel === 'B:3119');
    await world.produce(2000);
    expect(pathTo(world, 'A')).toMatchObject({ state: 'standby', lastError: null });
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

describe('a Kernel that leaves the file', () => {
  it('is waited for until the smaller set is kept by all that remain', async () => {
    const world = await running({ names: ['A', 'B', 'C'] });
    world.network.cut('A', 'C', 'hang');
    await world.produce(1000);
    const [has] = await world.coverage('C');
    world.server('A').group?.reload(world.others('A', ['A', 'B']));
    let steps = 0;
    for (; world.status('B').inSync.includes('C'); steps++) {
      expect(world.ackedThrough).toBeLessThanOrEqual(has?.last ?? 0);
      expect(world.status('A').takesSessions).toBe(true);
      world.produceNow(1);
      await world.clock.advance(10);
    }
    expect(steps).toBeGreaterThan(5);
    await world.until('all acknowledged', () => world.ackedThrough === world.store.source.producedTo());
  });
});

describe('a migration', () => {
  /** C and D join A and B, and everybody has everything. */
  async function grown(): Promise<KernelsWorld> {
    const world = await running();
    await world.regroup(['A', 'B', 'C', 'D']);
    for (let step = 0; step < 100 && world.status('A').inSync.length < 4; step++) await world.produce(200);
    expect(world.status('A').inSync.toSorted()).toEqual(['A', 'B', 'C', 'D']);
    return world;
  }

  async function switched(world: KernelsWorld, to: Name): Promise<void> {
    const handing = world.server('A').group?.handOver(to) ?? Promise.resolve();
    await world.produce(2000);
    await world.resolve(handing);
  }

  async function expectMoved(world: KernelsWorld): Promise<void> {
    await world.regroup(['C', 'D']);
    for (const name of ['A', 'B'] as const) world.kill(name);
    await world.produce(2000);
    expect(world.status('C')).toMatchObject({ role: 'hot', inSync: expect.arrayContaining(['C', 'D']) });
    expect(world.status('C').inSync).toHaveLength(2);
    await allIn(world, 'C', 'D');
    await world.until('all acknowledged', () => world.ackedThrough === world.store.source.producedTo());
  }

  it('a pair grows to four, hands over, shrinks to the new two: Kernels and agents by reload', async () => {
    const world = await grown();
    const { sinceUs } = world.uplink.status;
    world.reloadAgent(['A', 'B', 'C', 'D']);
    await world.produce(2000);
    expect(world.uplink.status, 'its session goes on').toMatchObject({ kernel: 'A:3119', sinceUs });
    expect(() => world.server('B').group?.reload(world.others('B', ['B', 'C']))).toThrow('A is hot');
    await switched(world, 'C');
    const there = world.uplink.status;
    expect(there.kernel).toBe('C:3119');
    world.reloadAgent(['C', 'D']);
    await expectMoved(world);
    expect(world.uplink.status).toMatchObject({ kernel: 'C:3119', sinceUs: there.sinceUs, lastError: null });
  });

  it('an agent that hears of the new ones only after the switch waits, then is there at once', async () => {
    const world = await grown();
    await switched(world, 'C');
    await world.produce(5000);
    expect(world.uplink.status.kernel).toBeNull();
    world.reloadAgent(['C', 'D']);
    expect(await world.until('a session there', () => world.uplink.status.kernel === 'C:3119')).toBeLessThan(
      500,
    );
    await expectMoved(world);
  });

  it('an agent whose hot Kernel leaves its file before the switch waits, and loses nothing', async () => {
    const world = await grown();
    world.produceNow(200);
    world.reloadAgent(['D', 'C']);
    await world.produce(3000);
    expect(world.uplink.status.kernel).toBeNull();
    await switched(world, 'C');
    expect(world.uplink.status.kernel).toBe('C:3119');
    await expectMoved(world);
  });

  it('an agent hears from the Kernels that its file names now, and from no other one', async () => {
    const world = await running();
    world.network.cut('A', 'B', 'hang');
    await world.produce(7000);
    world.reloadAgent(['A']);
    await world.resolve(world.server('B').group?.force() ?? Promise.resolve([]));
    await world.produce(5000);
    expect(world.uplink.status.kernel).toBe('A:3119');
    world.reloadAgent(['A', 'B']);
    expect(await world.until('the agent there', () => world.uplink.status.kernel === 'B:3119')).toBeLessThan(
      500,
    );
    world.network.heal('A', 'B');
    await allIn(world, 'A', 'B');
  });
});

describe('Kernels that dial the agent', () => {
  it('the next hot one gets the session at once, however alive that with the last one seems', async () => {
    const world = await running({ isDialled: true, silenceMaxMs: 60_000 });
    expect(world.uplink.status.kernel).toMatch(/^A:/);
    world.network.cut('A', 'agent', 'hang');
    world.network.cut('A', 'B', 'hang');
    await world.produce(7000);
    const forced = world.resolve(world.server('B').group?.force() ?? Promise.resolve([]));
    expect(await world.until('B', () => /^B:/.test(world.uplink.status.kernel ?? ''))).toBeLessThan(700);
    await forced;
    await world.produce(2000);
    await allIn(world, 'B');
    // The former one is back, and still believes that it is hot until the other one tells it.
    world.network.cut('A', 'agent', 'reset');
    world.network.heal('A', 'agent');
    const { sinceUs } = world.uplink.status;
    await world.produce(5000);
    expect(world.uplink.status).toMatchObject({ sinceUs });
    expect(world.dialled('A')?.addresses[0]?.lastError).toContain('has a session already');
    world.network.heal('A', 'B');
    await allIn(world, 'A', 'B');
  });

  it('the same Kernel at another address of it changes nothing', async () => {
    const world = await running({ isDialled: true });
    const { sinceUs } = world.uplink.status;
    const other = world.dialFrom('A', 'A2');
    await world.produce(5000);
    expect(world.uplink.status).toMatchObject({ sinceUs });
    expect(other.status.addresses[0]?.lastError).toContain('has a session already');
  });

  it('agents follow a switch within 2 s, and the standby that was hot disturbs nobody', async () => {
    const world = await running({ isDialled: true });
    const switching = world.server('A').group?.handOver('B') ?? Promise.resolve();
    expect(await world.until('B', () => /^B:/.test(world.uplink.status.kernel ?? ''))).toBeLessThan(2000);
    await world.resolve(switching);
    await world.produce(3000);
    await allIn(world, 'A', 'B');
  });
});

describe('a disk of a forwarding ring that takes nothing', () => {
  it.each(['all', 'growth'] as const)('%s: agents wait, an alarm says why, and all goes on', async (how) => {
    const world = await running();
    world.machine('A').disk.failing = how;
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
