import { describe, expect, it } from 'vitest';
import { Mark } from '../src/domain/marks.ts';
import { kernelAlarms } from '../src/kernel/alarms.ts';
import type { SharedStatus } from '../src/kernel/group/shared/shared-status.ts';
import { KernelsWorld, type Name, type WorldOptions } from './kernels/kernels-world.ts';

/** What an operator is told at a Kernel. */
function alarms(world: KernelsWorld, name: Name) {
  const archive = world.server(name).archiveTrouble;
  return kernelAlarms({ archive, group: world.status(name), sharing: null });
}

function codes(world: KernelsWorld, name: Name): string[] {
  return alarms(world, name).map(({ code }) => code);
}

/** Rows that came out of a backlog. */
async function replayed(world: KernelsWorld, name: Name): Promise<number> {
  const { archive } = world.machine(name);
  const query = { site: 'S', tag: 'P.T', fromUs: 0, toUs: Number.MAX_SAFE_INTEGER, limit: 1_000_000 };
  const rows = await archive.samples(query);
  expect(rows.length).toBeGreaterThan(0);
  return rows.filter(({ marks }) => (marks & Mark.replayed) > 0).length;
}

async function running(options: WorldOptions = {}): Promise<KernelsWorld> {
  const world = new KernelsWorld(options);
  await world.start();
  await world.until('a hot Kernel', () => world.status('A').takesSessions);
  for (let step = 0; step < 130; step++) {
    for (const name of world.names) expect(codes(world, name), 'after a start').toEqual([]);
    await world.produce(100);
  }
  return world;
}

describe('alarms of Kernels', () => {
  it('a standby says that the hot one is not heard, and since when', async () => {
    const world = await running({ names: ['A', 'B', 'C'] });
    world.kill('A');
    await world.produce(12_000);
    for (const name of ['B', 'C'] as const) {
      const [alarm, ...rest] = alarms(world, name);
      expect(alarm).toMatchObject({ code: 'kernel-silent' });
      expect(alarm?.text).toMatch(/^A is hot, .* was not heard for 1[12] s \(A: /);
      expect(alarm?.text).toContain(
        'if it is gone, agents wait with their values; if it comes back by itself',
      );
      expect(alarm?.text).toContain(`kom kernel switch kernel.json --to ${name} --force, given here, makes`);
      expect(rest).toEqual([]);
    }
    await world.startKernel('A');
    await world.produce(12_000);
    expect(alarms(world, 'B')).toEqual([]);
  });

  it('a standby without a link to anybody says so, with the reasons', async () => {
    const world = await running({ names: ['A', 'B', 'C'] });
    for (const other of ['A', 'C']) world.network.cut(other, 'B', 'hang');
    await world.produce(12_000);
    expect(codes(world, 'B')).toEqual(['kernel-alone', 'kernel-silent']);
    expect(alarms(world, 'B')[0]?.text).toMatch(/A: .*; C: /);
  });

  it('with one other Kernel a missing link is told once, with the reason and what to do', async () => {
    const world = await running();
    world.network.cut('A', 'B', 'hang');
    await world.produce(12_000);
    const [alarm, ...rest] = alarms(world, 'B');
    expect({ code: alarm?.code, rest }).toEqual({ code: 'kernel-silent', rest: [] });
    expect(alarm?.text).toMatch(/was not heard for 1[12] s \(A: .*\).* --to B --force, given here/);
    expect(codes(world, 'A')).toEqual(['kernel-behind']);
  });

  it('a standby that is in no set says so, and another one that it misses', async () => {
    const world = await running({ names: ['A', 'B', 'C'] });
    world.kill('C');
    world.machine('B').archive.failNext(1000);
    await world.produce(12_000);
    expect(codes(world, 'B')).toEqual(['kernel-archive', 'kernel-behind', 'kernel-behind']);
    expect(alarms(world, 'B')[0]?.text).toMatch(/takes nothing for 1[12] s: /);
    expect(alarms(world, 'B')[2]?.text).toContain('C is not there');
  });

  it('a wrong clock is told by both; a switch to it is refused, and no live value is marked', async () => {
    const world = await running();
    // What waited for the first session.
    const before = await replayed(world, 'A');
    world.machine('B').wall.offsetUs = 3600e6;
    await world.produce(10_000);
    expect(alarms(world, 'A')).toEqual([
      { code: 'kernel-clock', text: 'the clock of B is 3600.0 s ahead, beside the one here' },
    ]);
    expect(codes(world, 'B')).toEqual(['kernel-clock']);
    expect(await replayed(world, 'A')).toBe(before);
    expect(await replayed(world, 'B')).toBe(before);
    const handOver = (isForced: boolean) =>
      world.resolve(world.server('A').group?.handOver('B', isForced) ?? Promise.resolve());
    await expect(handOver(false)).rejects.toThrow(/clock of B is 3600.0 s ahead.*--force/);
    expect(world.status('A')).toMatchObject({ role: 'hot', takesSessions: true });
    await handOver(true);
    expect(world.status('B').role).toBe('hot');
    await expect(handOver(true)).rejects.toThrow('given at B itself');
  });

  it('two machines under one name: the second one is not let in, and becomes nothing', async () => {
    const world = await running();
    const twin = await world.startTwin('B');
    await world.produce(12_000);
    const [alarm, ...rest] = alarms(world, 'A');
    expect(alarm?.code).toBe('kernel-twin');
    expect(alarm?.text).toMatch(
      /B: the one at B\S*, which goes on, and the one at B-twin\S*, which is not let in/,
    );
    expect(rest).toEqual([]);
    await expect(world.resolve(twin.group?.force() ?? Promise.resolve([]))).rejects.toMatchObject({
      code: 'KOM_SWITCH_REFUSED',
      message: expect.stringMatching(/A says that another machine is B.*kom kernel status at A tells where/),
    });
    expect(twin.group?.status).toMatchObject({ hot: '', epoch: 0, role: 'standby' });
    expect(twin.group?.status.kernels[0]?.lastError).toContain('another machine is Kernel B');
    const handing = world.server('A').group?.handOver('B') ?? Promise.resolve();
    await world.produce(2000);
    await world.resolve(handing);
    expect(world.status('B').role).toBe('hot');
    expect(twin.takesSessions).toBe(false);
    await world.until('all of it', () => world.hasAll('B'), 2000);
  });

  it('a machine that takes the place of one that is gone is no twin', async () => {
    const world = await running();
    world.kill('B');
    await world.produce(6000);
    world.replace('B');
    await world.startKernel('B');
    await world.until('the set', () => world.status('A').inSync.length === 2);
    await world.produce(12_000);
    expect(codes(world, 'A')).toEqual([]);
    world.kill('B');
    await world.startKernel('B');
    await world.produce(3000);
    expect(codes(world, 'A'), 'the same one anew').toEqual([]);
  });

  it('a Kernel that is connected is not said to be not connected', async () => {
    const world = await running();
    const group = world.status('A');
    const textOf = (isConnected: boolean) => {
      const kernels = group.kernels.map((each) => ({ ...each, isConnected, behindMs: null }));
      return kernelAlarms({ archive: null, group: { ...group, kernels }, sharing: null })[0]?.text;
    };
    expect(textOf(true)).toContain('B does not have everything: it is connected, and its archive');
    expect(textOf(false)).toBe('B does not have everything: not connected');
  });

  it.each(['in-sync', 'hot'] as const)(
    'acks %s: who was overtaken says so until it follows, and when it was from then on',
    async (ackPolicy) => {
      const world = new KernelsWorld({ ackPolicy });
      await world.start();
      await world.until('a hot Kernel', () => world.status('A').takesSessions);
      await world.produce(3000);
      for (const to of ['B', 'agent']) world.network.cut('A', to, 'hang');
      await world.produce(6000);
      const atUs = world.clock.wallUs();
      await world.resolve(world.server('B').group?.force() ?? Promise.resolve([]));
      await world.produce(3000);
      world.machine('A').archive.failNext(1_000_000);
      for (const to of ['B', 'agent']) world.network.heal('A', to);
      await world.until('A to hear of it', () => world.status('A').role === 'standby');
      await world.produce(6000);
      if (ackPolicy === 'in-sync') expect(codes(world, 'A')).toContain('kernel-overtaken');
      world.machine('A').archive.failNext(0);
      await world.until('it to be put right', () => world.status('A').overtakenBy === null);
      await world.produce(1000);
      expect(codes(world, 'A')).toEqual([]);
      const { overtaken } = world.status('A');
      expect(overtaken).toMatchObject({ by: 'B', epoch: 2 });
      expect(overtaken?.atUs).toBeGreaterThan(atUs);
    },
  );

  it('an agent whose file does not name the hot one is told, and missing there until it does', async () => {
    const world = await running({ names: ['A', 'B', 'C'] });
    world.reloadAgent(['A', 'B']);
    await world.produce(2000);
    await world.resolve(world.server('A').group?.handOver('C') ?? Promise.resolve());
    await world.produce(30_000);
    expect(world.uplink.status.kernel).toBeNull();
    expect(world.uplink.status.lastError).toContain('the site file does not name C');
    expect(codes(world, 'C'), 'it has its time').toEqual([]);
    await world.produce(35_000);
    const [alarm, ...rest] = alarms(world, 'C');
    expect(alarm?.text).toMatch(/^nothing has come from S\/P since .* name C under kernels/);
    expect({ code: alarm?.code, rest }).toEqual({ code: 'kernel-agents', rest: [] });
    world.reloadAgent(['A', 'B', 'C']);
    await world.until('the agent at C', () => world.uplink.status.kernel === 'C:3119');
    expect(codes(world, 'C')).toEqual([]);
  }, 60_000);

  it('Kernels of which none is hot all say so', async () => {
    const world = new KernelsWorld();
    await world.startKernel('B');
    await world.clock.advance(9000);
    expect(codes(world, 'B')).toEqual([]);
    await world.clock.advance(3000);
    expect(codes(world, 'B')).toEqual(['kernel-alone', 'kernel-nobody-hot']);
    expect(alarms(world, 'B')[1]?.text).toContain('kom kernel switch kernel.json --to B --force');
    const lacks = await world.resolve(world.server('B').group?.force() ?? Promise.resolve([]));
    expect(lacks).toEqual([expect.stringContaining('B has never heard of a reign')]);
  });
});

it('a sole Kernel says that its archive takes nothing, but not beside a database that is not there', () => {
  const archive = { error: 'no space', forMs: 61_000 };
  const alone = kernelAlarms({ archive, group: null, sharing: null });
  expect(alone).toEqual([{ code: 'kernel-archive', text: 'the archive takes nothing for 61 s: no space' }]);
  const sharing: SharedStatus = {
    ...{ upMs: 60_000, name: 'A', takesSessions: false, epoch: 1, hot: '' },
    role: 'standby',
    ...{ databaseError: 'gone', twin: null, overtakenBy: null, heardEpoch: 0, kernels: [] },
  };
  const codesOf = (databaseError: string | null) =>
    kernelAlarms({ archive, group: null, sharing: { ...sharing, databaseError } }).map(({ code }) => code);
  expect(codesOf('gone')).toEqual(['kernel-database']);
  expect(codesOf(null)).toEqual(['kernel-archive', 'kernel-nobody-hot']);
});
