import { describe, expect, it } from 'vitest';
import { isKomError } from '../src/domain/errors.ts';
import { groupHandlers } from '../src/kernel/group/group-handlers.ts';
import { Audit } from '../src/ops/audit.ts';
import { SideStore } from '../src/world/side-store.ts';
import { SimulatedDisk } from '../src/world/simulated/disk.ts';
import { KernelsWorld, type Name } from './kernels/kernels-world.ts';

async function running(names: readonly Name[] = ['A', 'B']): Promise<KernelsWorld> {
  const world = new KernelsWorld({ names });
  await world.start();
  await world.until('the set', () => world.status('A').inSync.length === names.length);
  await world.produce(1000);
  return world;
}

/** An operator at a Kernel, and what its audit says of the switch. */
function operatorAt(world: KernelsWorld, name: Name) {
  const { clock, random } = world;
  const audit = new Audit(new SideStore(new SimulatedDisk(clock, random), 'notes'));
  const handler = groupHandlers({ group: world.server(name).group, audit, clock, random })['kernel-switch'];
  const command = async (params: Readonly<Record<string, unknown>>): Promise<unknown> => {
    for await (const answer of handler?.(params) ?? []) return answer;
    throw new Error('no answer');
  };
  const outcomes = async () => (await audit.read(10)).map(({ outcome }) => outcome);
  return { command, outcomes };
}

describe('the outcome of a switch', () => {
  it('is a refusal where it can be tried again, and a mistake where the command is wrong', async () => {
    const world = await running(['A', 'B', 'C']);
    const codeOf = async (at: Name, params: Readonly<Record<string, unknown>>) => {
      const failed = (error: unknown) => (isKomError(error) ? error.code : String(error));
      return await world.resolve(operatorAt(world, at).command(params)).then(() => 'done', failed);
    };
    expect(await codeOf('B', { to: 'C' })).toBe('KOM_SWITCH_REFUSED');
    expect(await codeOf('B', { to: 'NOPE' })).toBe('KOM_USAGE');
    expect(await codeOf('A', { to: 'NOPE' })).toBe('KOM_USAGE');
    expect(await codeOf('B', { to: 'C', force: true })).toBe('KOM_USAGE');
    world.kill('B');
    await world.produce(1000);
    expect(await codeOf('A', { to: 'B' })).toBe('KOM_SWITCH_REFUSED');
    expect(await codeOf('A', { to: 'A' })).toBe('done');
    expect(world.status('A')).toMatchObject({ role: 'hot', epoch: 1 });
  });

  it('is a refusal where the operator cancels it in time, and agents stay', async () => {
    const world = await running();
    const { command, outcomes } = operatorAt(world, 'A');
    const cancelled = () => world.server('A').group?.cancel();
    expect(cancelled(), 'no switch').toBe(false);
    world.network.cut('A', 'B', 'hang');
    await world.produce(500);
    const switching = command({ to: 'B' });
    switching.catch(() => {});
    await world.produce(1500);
    expect(cancelled()).toBe(true);
    await expect(world.resolve(switching)).rejects.toThrow('the operator cancelled it');
    world.network.heal('A', 'B');
    await world.produce(8000);
    expect(world.status('A')).toMatchObject({ role: 'hot', takesSessions: true });
    expect(world.uplink.status.kernel).toBe('A:3119');
    expect(await outcomes()).toEqual(['refused']);
    const again = command({ to: 'B' });
    await world.until('another reign', () => world.status('A').hot === 'B');
    expect(cancelled(), 'too late').toBe(false);
    await world.resolve(again);
  });

  it('is "done, not confirmed" where the new one dies when the reign has changed', async () => {
    const world = await running();
    const { command, outcomes } = operatorAt(world, 'A');
    const switching = command({ to: 'B' });
    await world.until('another reign', () => world.status('A').hot === 'B');
    world.kill('B');
    await expect(world.resolve(switching)).rejects.toMatchObject({
      code: 'KOM_SWITCH_UNCONFIRMED',
      detail: { hint: expect.stringContaining('kom kernel status at B') },
    });
    expect(await outcomes()).toEqual(['done, not confirmed']);
  });
});
