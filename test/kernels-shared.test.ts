import { describe, expect, it } from 'vitest';
import { kernelAlarms, sharedAlarms } from '../src/kernel/alarms.ts';
import { SharedGroup } from '../src/kernel/group/shared/shared-group.ts';
import { silentLog } from '../src/world/log.ts';
import { type SharedName, SharedWorld } from './kernels/shared-world.ts';

async function running(names?: readonly SharedName[]): Promise<SharedWorld> {
  const world = new SharedWorld(names);
  await world.start();
  return world;
}

/** Values go on while something is waited for. Returns how long that took, ms. */
async function producing(world: SharedWorld, what: string, isSo: () => boolean): Promise<number> {
  const fromMs = world.clock.monotonicMs();
  while (!isSo()) {
    if (world.clock.monotonicMs() - fromMs > 60_000) throw new Error(`it never came: ${what}`);
    await world.agent.produce(100);
  }
  return world.clock.monotonicMs() - fromMs;
}

const alarmsOf = (world: SharedWorld, name: SharedName): string[] =>
  sharedAlarms(world.status(name)).map(({ code }) => code);

/** A stands still while a transaction of it is under way, until B is hot and longer. */
async function stoppedInTransaction(world: SharedWorld): Promise<void> {
  world.database.commitMs = 16_000;
  await world.agent.produce(600);
  // One is under way; those of the next reign take no time.
  world.database.commitMs = 0;
  world.machine('A').life.stall(12_000);
  expect(await producing(world, 'B hot', () => world.status('B').takesSessions)).toBeLessThan(7000);
}

describe('Kernels that share a database', () => {
  it('the first one there is hot, and the others stand by', async () => {
    const world = await running(['A', 'B', 'C']);
    expect(world.status('A')).toMatchObject({ role: 'hot', epoch: 1, hot: 'A', databaseError: null });
    for (const name of ['B', 'C'] as const) {
      expect(world.status(name)).toMatchObject({ role: 'standby', epoch: 1, hot: 'A', takesSessions: false });
    }
    expect(world.status('B').kernels).toEqual([
      { name: 'A', isPresent: true },
      { name: 'C', isPresent: true },
    ]);
    await world.expectWhole();
  });

  it('one that is killed is replaced within a second, and is a standby when it is back', async () => {
    const world = await running();
    world.kill('A');
    expect(await producing(world, 'B hot', () => world.hot === 'B')).toBeLessThan(1500);
    await world.agent.produce(2000);
    expect(alarmsOf(world, 'B')).toEqual(['kernel-alone']);
    await world.startKernel('A');
    await world.agent.produce(8000);
    expect(world.status('A')).toMatchObject({ role: 'standby', hot: 'B', epoch: 2, overtakenBy: null });
    expect(alarmsOf(world, 'B')).toEqual([]);
    await world.expectWhole();
  });

  it('each change of a role is in the audit of the Kernel, also one that nobody asked for', async () => {
    const world = await running();
    world.kill('A');
    await producing(world, 'B hot', () => world.hot === 'B');
    await world.startKernel('A');
    await world.agent.produce(2000);
    await world.resolve(world.group('B').handOver('A'));
    world.database.isAway = true;
    await world.agent.produce(4000);
    expect(world.audited('A')).toEqual([
      'kernel-hot: A is hot, by itself; nobody was before',
      'kernel-hot: A is hot, as an operator said; B was before',
      expect.stringMatching(/^kernel-standby: this Kernel is not hot any more: .*the database is away$/),
    ]);
    expect(world.audited('B')).toEqual([
      'kernel-hot: B is hot, by itself; A was before',
      'kernel-standby: this Kernel is not hot any more',
    ]);
  });

  it('one that stands still in the middle of a transaction leaves nothing of it behind', async () => {
    const world = await running();
    await stoppedInTransaction(world);
    await producing(world, 'A overtaken', () => world.status('A').overtakenBy === 'B');
    expect(world.hot).toBe('B');
    expect(world.status('A')).toMatchObject({ role: 'standby', hot: 'B' });
    expect(alarmsOf(world, 'A')).toEqual(['kernel-overtaken']);
    await world.agent.produce(10_000);
    await world.expectWhole();
  });

  it('and without the look at the epoch it would', async () => {
    const world = await running();
    world.database.ignoresEpochs = true;
    await stoppedInTransaction(world);
    await world.agent.produce(10_000);
    await expect(world.expectWhole()).rejects.toThrow('written in epochs');
  });

  it('one that is cut off from the database is not hot before another one is', async () => {
    const world = await running();
    world.cutOff('A', true);
    // `hot` throws where two of them are.
    const tookMs = await producing(world, 'B hot', () => world.hot === 'B');
    expect(tookMs).toBeLessThan(10_000);
    await world.agent.produce(3000);
    expect(alarmsOf(world, 'A')).toEqual(['kernel-database']);
    world.cutOff('A', false);
    await producing(world, 'A overtaken', () => world.status('A').overtakenBy === 'B');
    expect(world.hot).toBe('B');
    await world.expectWhole();
  });

  it('without the database nobody is hot; when it is back, whoever was is, and stays', async () => {
    const world = await running();
    await world.resolve(world.group('A').handOver('B'));
    await world.agent.produce(1000);
    for (let round = 0; round < 3; round++) {
      world.database.isAway = true;
      await world.agent.produce(4000);
      expect(world.hot).toBeNull();
      expect(alarmsOf(world, 'A')).toEqual(['kernel-database']);
      expect(alarmsOf(world, 'B')).toEqual(['kernel-database']);
      world.database.isAway = false;
      await producing(world, 'B hot', () => world.hot === 'B');
      await world.agent.produce(8000);
      expect(world.hot).toBe('B');
    }
    expect(world.status('B').epoch).toBe(5);
    await world.expectWhole();
  });

  it('if the database comes back without whoever was hot, another one is after some seconds', async () => {
    const world = await running();
    world.database.isAway = true;
    await world.agent.produce(1000);
    world.kill('A');
    world.database.isAway = false;
    const tookMs = await producing(world, 'B hot', () => world.hot === 'B');
    expect(tookMs).toBeGreaterThan(4000);
    expect(tookMs).toBeLessThan(7000);
    await world.expectWhole();
  });

  it('an orderly switch hands the lock to whom it is meant for, and there and back', async () => {
    const world = await running(['A', 'B', 'C']);
    for (const [from, to] of [
      ['A', 'C'],
      ['C', 'B'],
      ['B', 'A'],
    ] as const) {
      const switching = world.group(from).handOver(to);
      await world.agent.produce(2000);
      await world.resolve(switching);
      expect(world.hot).toBe(to);
      expect(world.status(from)).toMatchObject({ role: 'standby', overtakenBy: null, hot: to });
    }
    expect(world.status('A').epoch).toBe(4);
    await world.expectWhole();
  });

  it('one that is hot again believes nothing that it knew when it was hot before', async () => {
    const world = await running();
    let observedUs = 0;
    for (const to of ['B', 'A', 'B', 'A'] as const) {
      const switching = world.group(to === 'A' ? 'B' : 'A').handOver(to);
      for (let step = 0; step < 40; step++) {
        await world.agent.produce(100);
        const nowUs = await world.observedUntilUs();
        expect(nowUs).toBeGreaterThanOrEqual(observedUs);
        observedUs = nowUs;
      }
      await world.resolve(switching);
      expect(observedUs).toBeGreaterThan(world.clock.wallUs() - 2_000_000);
    }
    await world.expectWhole();
  });

  it('two machines under one name: the second says so, and not that nobody is hot', async () => {
    const world = await running();
    const twin = new SharedGroup({
      ...{ name: 'A', shared: world.database, clock: world.clock, log: silentLog },
      serving: { begin: async () => {}, drain: async () => {}, end: () => {} },
    });
    const stop = new AbortController();
    void twin.run(stop.signal);
    await world.agent.produce(5000);
    expect(sharedAlarms(twin.status)).toMatchObject([
      { code: 'kernel-database', text: expect.stringContaining("this Kernel's own of a moment ago") },
    ]);
    await world.agent.produce(10_000);
    expect(twin.status).toMatchObject({ role: 'standby', hot: 'A', epoch: 1, databaseError: null });
    const archive = { error: 'no session', forMs: 9000 };
    const [alarm, ...rest] = kernelAlarms({ archive, group: null, sharing: twin.status });
    expect(alarm?.code).toBe('kernel-twin');
    expect(alarm?.text).toMatch(
      /^another machine is A as well: the one at local .*, for 1\d s now.*; stop one of the two, or give/,
    );
    expect(rest).toEqual([]);
    for (const command of [() => twin.force(), () => twin.handOver('B')]) {
      await expect(command()).rejects.toThrow('another session at the database is A; got one from local');
    }
    expect(world.hot).toBe('A');
    world.kill('A');
    // The name is free now.
    await world.until('the other one', () => twin.takesSessions);
    expect(twin.status).toMatchObject({ role: 'hot', hot: 'A', epoch: 2, twin: null });
    expect(sharedAlarms(twin.status)).toEqual([]);
    stop.abort();
  });

  it('a Kernel to which it was handed and that does not take it leaves it to the others', async () => {
    const world = await running();
    const switching = world.group('A').handOver('B');
    await world.until('the lock free', () => world.database.next === 'B' || world.database.hot === 'B');
    world.kill('B');
    await expect(world.resolve(switching)).rejects.toThrow('B is not hot yet');
    await producing(world, 'A hot', () => world.hot === 'A');
    await world.expectWhole();
  });

  it('a switch is refused where it does not belong, and changes nothing', async () => {
    const world = await running();
    await world.resolve(world.group('A').handOver('A'));
    await expect(world.group('A').handOver('D')).rejects.toThrow('D is not at the database');
    await expect(world.group('B').handOver('B')).rejects.toThrow('A is: give the command there');
    world.database.isAway = true;
    await world.agent.produce(1000);
    await expect(world.group('B').handOver('B')).rejects.toThrow('nobody is');
    await expect(world.group('B').force()).rejects.toThrow('nobody can be hot without the database');
    world.database.isAway = false;
    await producing(world, 'A hot', () => world.hot === 'A');
    await world.expectWhole();
  });

  it('while the archive takes nothing a switch is refused, and agents come back', async () => {
    const world = await running();
    world.database.stored.failNext(12);
    await world.agent.produce(500);
    await expect(world.resolve(world.group('A').handOver('B'))).rejects.toThrow('is not in the archive yet');
    expect(world.hot).toBe('A');
    await world.agent.produce(3000);
    await world.expectWhole();
  });

  it('a switch cancelled while the archive takes nothing is refused, and agents come back', async () => {
    const world = await running();
    expect(world.group('A').cancel(), 'no switch').toBe(false);
    world.database.stored.failNext(3);
    await world.agent.produce(500);
    const switching = world.group('A').handOver('B');
    expect(world.group('A').cancel()).toBe(true);
    await expect(world.resolve(switching)).rejects.toThrow('the operator cancelled it');
    expect(world.hot).toBe('A');
    const again = world.group('A').handOver('B');
    await world.resolve(again);
    expect(world.group('A').cancel(), 'too late').toBe(false);
    await world.agent.produce(3000);
    await world.expectWhole();
  });

  it('--force ends the reign of one that works', async () => {
    const world = await running();
    expect(await world.resolve(world.group('A').force())).toEqual([]);
    const forcing = world.group('B').force();
    await world.agent.produce(2000);
    expect(await world.resolve(forcing)).toEqual([]);
    expect(world.hot).toBe('B');
    await producing(world, 'A overtaken', () => world.status('A').overtakenBy === 'B');
    await world.expectWhole();
  });

  it('a database that lost epochs has nobody hot until an operator says that it is right', async () => {
    const world = await running();
    world.database.epoch = 8;
    await world.resolve(world.group('B').force());
    await world.agent.produce(3000);
    for (const name of ['A', 'B'] as const) world.kill(name);
    // As if it were restored from a backup of before the first switch.
    world.database.epoch = 0;
    world.database.hot = '';
    for (const name of ['A', 'B'] as const) await world.startKernel(name);
    await world.agent.produce(15_000);
    expect(world.hot).toBeNull();
    const isHeard = (name: SharedName): boolean => world.status(name).heardEpoch === 9;
    expect(isHeard('A') && isHeard('B')).toBe(true);
    // Nor does one of them keep the lock that it may not use: --force at that one would be in vain.
    for (const name of ['A', 'B'] as const) expect(world.status(name).hot).toBe('');
    expect(alarmsOf(world, 'A')).toEqual(['kernel-overtaken', 'kernel-database']);
    const [lacks] = await world.resolve(world.group('A').force());
    expect(lacks).toContain('an agent has seen epoch 9');
    await world.agent.produce(3000);
    expect(world.hot).toBe('A');
    expect(world.status('A')).toMatchObject({ epoch: 10, overtakenBy: null, heardEpoch: 0 });
    await world.until('all in the archive', () => world.agent.isWhollyIn(world.database.stored));
  });
});
