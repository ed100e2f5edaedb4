import { describe, expect, it } from 'vitest';
import { COUNTER_JUMP_MAX } from '../src/uplink/limits.ts';
import { KernelsWorld, type Name } from './kernels/kernels-world.ts';

/** Kernels that begin anew, and an agent that remembers a higher epoch of theirs. */
async function begunAnew(names: readonly Name[] = ['A', 'B']): Promise<KernelsWorld> {
  const world = new KernelsWorld({ names });
  await world.start();
  await world.until('a hot Kernel', () => world.status('A').takesSessions);
  await world.produce(1000);
  await world.until('the set', () => world.status('A').inSync.length === names.length);
  for (const to of ['B', 'A'] as const) {
    const switching = world.server(to === 'B' ? 'A' : 'B').group?.handOver(to);
    await world.produce(2000);
    await world.resolve(switching ?? Promise.reject(new Error('no group')));
  }
  expect(world.uplink.status.kernel).toBe('A:3119');
  for (const name of names) {
    world.kill(name);
    world.replace(name);
  }
  return world;
}

describe('a Kernel that is forced', () => {
  it('says who was hot, and that it was in the set, where only an agent knew the epoch', async () => {
    const world = new KernelsWorld({ names: ['A', 'B', 'C'] });
    await world.start();
    await world.until('the set', () => world.status('A').inSync.length === 3);
    world.kill('C');
    await expect(world.resolve(world.server('A').group?.met(5, 'S/P') ?? never())).rejects.toThrow('asked');
    await world.until('B knows', () => world.status('B').epoch === 5);
    world.kill('A');
    await world.produce(4000);
    const lacks = await world.resolve(world.server('B').group?.force() ?? never());
    expect(lacks[1]).toMatch(/^A was hot in epoch 1 as far as is known here; last heard [45] s ago$/);
    expect(lacks[2]).toMatch(/^B was in the last in-sync set/);
    expect(world.status('B')).toMatchObject({ role: 'hot', epoch: 6 });
  });

  it('goes above what its archive and its agents know', async () => {
    const world = new KernelsWorld();
    await world.startKernel('B');
    await world.machine('B').archive.raiseKernelEpoch(7);
    await world.until('a standby', () => world.status('B').role === 'standby');
    await expect(world.resolve(world.server('B').group?.met(9, 'S/P') ?? never())).rejects.toThrow('hot');
    await world.resolve(world.server('B').group?.force() ?? never());
    expect(world.status('B').epoch).toBe(10);
    const other = new KernelsWorld();
    await other.startKernel('B');
    await other.machine('B').archive.raiseKernelEpoch(7);
    await other.resolve(other.server('B').group?.force() ?? never());
    expect(other.status('B').epoch).toBe(8);
  });
});

describe('an agent that has seen a higher epoch', () => {
  it('moves nobody while all Kernels are there: the hot one goes above it and stays hot', async () => {
    const world = await begunAnew(['A', 'B', 'C']);
    for (const name of world.names) await world.startKernel(name);
    await world.produce(6000);
    expect(world.uplink.status.kernel).toBe('A:3119');
    expect(world.status('A')).toMatchObject({ role: 'hot', hot: 'A', epoch: 4, overtakenBy: null });
    expect(await world.machine('A').archive.kernelEpoch()).toBe(4);
    for (const name of ['B', 'C'] as const) {
      expect(world.status(name)).toMatchObject({ role: 'standby', hot: 'A', epoch: 4 });
    }
    await world.until('the set', () => world.status('A').inSync.length === 3);
  });

  it('is believed while another Kernel cannot be asked; what was known before is kept', async () => {
    const world = await begunAnew(['A', 'B', 'C']);
    await world.startKernel('A');
    await world.startKernel('B');
    await world.until('A stands down', () => world.status('A').role === 'standby');
    await world.produce(1000);
    expect(world.status('A')).toMatchObject({ role: 'standby', epoch: 3 });
    expect(world.status('B')).toMatchObject({ role: 'standby', hot: '', epoch: 3 });
    expect(world.server('B').group?.reign.former).toEqual({ hot: 'A', epoch: 1 });
    const lacks = await world.resolve(world.server('A').group?.force() ?? never());
    expect(lacks).toEqual([
      'nobody is hot in epoch 3, as far as is known here',
      'A was hot until then, in epoch 1: it lacks what came in later epochs',
    ]);
  });

  it('cannot lead a Kernel beyond what other Kernels follow, however often it says so', async () => {
    const world = new KernelsWorld();
    await world.start();
    await world.until('a hot Kernel', () => world.status('A').takesSessions);
    await world.until('a heard one', () => world.status('B').hot === 'A');
    const claim = (epoch: number) => world.resolve(world.server('A').group?.met(epoch, 'S/P') ?? never());
    await expect(claim(1 + COUNTER_JUMP_MAX)).rejects.toThrow('too far ahead');
    await expect(claim(COUNTER_JUMP_MAX)).rejects.toThrow('the others are asked');
    await world.until('A above', () => world.status('A').epoch === 1 + COUNTER_JUMP_MAX);
    await expect(claim(2 + COUNTER_JUMP_MAX)).rejects.toThrow('too far ahead');
    await world.until('B follows', () => world.status('B').epoch === 1 + COUNTER_JUMP_MAX);
    expect(world.status('A')).toMatchObject({ role: 'hot', takesSessions: true });
  });

  it('moves nobody by what it says to a standby', async () => {
    const world = new KernelsWorld();
    await world.start();
    await world.until('a hot Kernel', () => world.status('A').takesSessions);
    await world.until('a heard one', () => world.status('B').hot === 'A');
    const claim = world.resolve(world.server('B').group?.met(7, 'S/P') ?? never());
    await expect(claim).rejects.toThrow('A is hot');
    await world.produce(2000);
    expect(world.status('A')).toMatchObject({ role: 'hot', epoch: 1 });
  });
});

function never(): Promise<never> {
  return Promise.reject(new Error('no group'));
}
