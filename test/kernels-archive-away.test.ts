import { describe, expect, it } from 'vitest';
import { KomError } from '../src/domain/errors.ts';
import { kernelAlarms } from '../src/kernel/alarms.ts';
import { KernelsWorld, type Name } from './kernels/kernels-world.ts';

/** The archive of the hot Kernel takes nothing, and that of the other one does. */

const FAULTS = {
  'takes nothing': (world: KernelsWorld, isOn: boolean) =>
    world.machine('A').archive.failNext(isOn ? 1_000_000 : 0),
  'does not answer': (world: KernelsWorld, isOn: boolean) => {
    world.machine('A').isArchiveAway = isOn;
  },
} as const;
type Fault = keyof typeof FAULTS;

/** What the alarm says of the other one: only a member of the set surely has what was acknowledged. */
const SUCCESSOR = {
  'in-sync': 'B has all that was acknowledged',
  hot: 'B is 5 s behind at most, and is made hot only with all that the archive has',
} as const;

const CASES = (['in-sync', 'hot'] as const).flatMap((ackPolicy) =>
  (Object.keys(FAULTS) as Fault[]).map((fault) => [ackPolicy, fault] as const),
);

async function running(ackPolicy: 'in-sync' | 'hot' = 'in-sync'): Promise<KernelsWorld> {
  const world = new KernelsWorld({ ackPolicy });
  await world.start();
  const isFollowed = () => world.status('A').kernels.every(({ behindMs }) => (behindMs ?? 9999) < 1000);
  await world.until('the other one to follow', () => world.status('A').takesSessions && isFollowed());
  if (ackPolicy === 'in-sync') await world.until('the set', () => world.status('A').inSync.length === 2);
  await world.produce(12_000);
  return world;
}

function alarms(world: KernelsWorld, name: Name) {
  const archive = world.server(name).archiveTrouble;
  return kernelAlarms({ archive, group: world.status(name), sharing: null });
}

function handOver(world: KernelsWorld): Promise<void> {
  return world.resolve(world.server('A').group?.handOver('B') ?? Promise.resolve());
}

describe.each(CASES)('acks %s, the archive of the hot one %s', (ackPolicy, fault) => {
  it('an orderly switch succeeds, loses nothing, and the alarm offers it', async () => {
    const world = await running(ackPolicy);
    FAULTS[fault](world, true);
    await world.produce(20_000);
    const [alarm, ...rest] = alarms(world, 'A');
    expect(alarm).toMatchObject({ code: 'kernel-archive' });
    expect(alarm?.text).toContain(`${SUCCESSOR[ackPolicy]}: kom kernel switch kernel.json --to B`);
    expect(rest).toEqual([]);
    await handOver(world);
    await world.until('the agent at B', () => world.uplink.status.kernel === 'B:3119', 3000);
    await world.produce(3000);
    expect(await world.hasAll('B')).toBe(true);
    expect(world.ackedThrough).toBeGreaterThan(0);
    expect(world.status('B').inSync).toEqual(['B']);
    FAULTS[fault](world, false);
    await world.until('A to have everything as well', () => world.hasAll('A'));
    await world.until('the set', () => ackPolicy === 'hot' || world.status('B').inSync.length === 2);
    expect(await world.hasAll('B')).toBe(true);
  });
});

it('acks hot: refused where the other one may lack what was acknowledged, and agents stay', async () => {
  const world = await running('hot');
  world.network.cut('A', 'B', 'hang');
  await world.produce(500);
  FAULTS['takes nothing'](world, true);
  await world.produce(3000);
  const { sinceUs } = world.uplink.status;
  await expect(handOver(world)).rejects.toMatchObject({
    code: 'KOM_SWITCH_REFUSED',
    detail: { hint: expect.stringContaining('kom kernel switch kernel.json --to B --force at B') },
  });
  expect(world.uplink.status).toMatchObject({ kernel: 'A:3119', sinceUs });
  expect(alarms(world, 'A')[0]?.text).not.toContain('kom kernel switch');
});

it('what the other one lacks when the archive goes it gets of the ring, and can be hot then', async () => {
  const world = await running('hot');
  world.network.cut('A', 'B', 'hang');
  await world.produce(700);
  FAULTS['does not answer'](world, true);
  await world.produce(300);
  world.network.heal('A', 'B');
  await world.produce(5000);
  await handOver(world);
  await world.until('the agent at B', () => world.uplink.status.kernel === 'B:3119', 3000);
  await world.produce(3000);
  expect(await world.hasAll('B')).toBe(true);
});

it('a hot one that starts while its archive is away hands over to a member of the set', async () => {
  const world = await running();
  world.kill('A');
  world.machine('A').isArchiveAway = true;
  await world.produce(1000);
  await world.startKernel('A');
  await world.produce(20_000);
  expect(world.status('A')).toMatchObject({ role: 'hot', takesSessions: false, inSync: ['A', 'B'] });
  await handOver(world);
  await world.until('the agent at B', () => world.uplink.status.kernel === 'B:3119', 15_000);
  await world.produce(3000);
  expect(await world.hasAll('B')).toBe(true);
});

it.each(['it has it', 'another one is hot'])(
  'an archive that refuses nothing but the epoch of the reign is told, until %s',
  async (until) => {
    const world = await running();
    const { archive } = world.machine('B');
    let isRefused = true;
    const raise = archive.raiseKernelEpoch.bind(archive);
    archive.raiseKernelEpoch = async (epoch) => {
      if (isRefused) throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'the epoch');
      await raise(epoch);
    };
    await handOver(world).catch(() => {});
    await world.produce(15_000);
    expect(world.status('B')).toMatchObject({ role: 'hot', takesSessions: false });
    const told = alarms(world, 'B').filter(({ code }) => code === 'kernel-archive');
    expect(told.map(({ text }) => text)).toEqual([
      expect.stringMatching(/^the archive takes nothing for \d+ s: the epoch/),
    ]);
    if (until === 'it has it') {
      isRefused = false;
      await world.until('agents to be welcome', () => world.status('B').takesSessions);
    } else {
      await world.resolve(world.server('A').group?.force() ?? Promise.resolve([]));
      await world.until('the other one', () => world.status('B').role === 'standby');
    }
    expect(alarms(world, 'B').map(({ code }) => code)).not.toContain('kernel-archive');
  },
);

it('agents keep their sessions while a switch is refused in the end, and what waited goes on', async () => {
  const world = await running();
  const { sinceUs } = world.uplink.status;
  // Behind by less than what a switch begins with, and from then on for good.
  world.machine('B').isArchiveAway = true;
  await world.produce(500);
  const switching = world.server('A').group?.handOver('B');
  switching?.catch(() => {});
  await world.produce(8000);
  expect(world.status('A').takesSessions, 'none is welcome that has no session').toBe(false);
  await expect(world.resolve(switching ?? Promise.resolve())).rejects.toThrow('did not get the last values');
  expect(world.uplink.status).toMatchObject({ kernel: 'A:3119', sinceUs });
  await world.produce(8000);
  expect(world.uplink.status).toMatchObject({ kernel: 'A:3119', sinceUs });
  await world.until('all of it', () => world.hasAll('A'));
});

it('an archive that heals in a switch acknowledges nothing that the next hot one lacks', async () => {
  const world = await running('hot');
  world.machine('B').isArchiveAway = true;
  await world.produce(300);
  world.machine('A').isArchiveAway = true;
  await world.produce(300);
  const before = world.ackedThrough;
  const refused = expect(handOver(world)).rejects.toMatchObject({ code: 'KOM_SWITCH_REFUSED' });
  await world.produce(500);
  world.machine('A').isArchiveAway = false;
  await world.produce(5000);
  expect(world.ackedThrough).toBe(before);
  await refused;
  await world.produce(500);
  expect(world.ackedThrough).toBeGreaterThan(before);
});
