import { expect, test } from 'vitest';
import { GREEN } from '../integration/support/setup.ts';
import { sleep } from '../integration/support/until.ts';
import { RealKernels } from '../kernels/real-kernels.ts';

/**
 * The move of a pair of Kernels to new machines, on real processes, under load and with certificates: it
 * grows to four at other addresses, hands over, and shrinks to the new two. Everybody follows by reload;
 * nobody is restarted for it.
 */
test('a pair moves to two new machines by reload, and what they have is complete by itself', async () => {
  await using kernels = await RealKernels.start({ withTls: true });
  await sleep(2000);
  const { pid } = kernels.agent;
  const { sinceUs } = (await kernels.agentStatus()).uplink;

  // Four of them. One of the new ones dies while it is being filled.
  await kernels.regroup(['KernelA', 'KernelB', 'KernelC', 'KernelD']);
  await kernels.kill('KernelC');
  await kernels.reloadAgent(['KernelA', 'KernelB', 'KernelC', 'KernelD']);
  await sleep(2000);
  await kernels.startKernel('KernelC');
  await kernels.untilComplete('KernelA');
  const { uplink } = await kernels.agentStatus();
  expect(uplink, 'its session went on').toMatchObject({ kernel: kernels.address('KernelA'), sinceUs });
  expect(uplink.paths).toHaveLength(4);

  expect(await kernels.switch('KernelA', 'KernelC')).toMatchObject({ code: 0, stderr: '' });
  expect(await kernels.untilAt('KernelC')).toBeLessThan(2000);
  const there = (await kernels.agentStatus()).uplink;

  // The new two alone.
  await kernels.reloadAgent(['KernelC', 'KernelD']);
  await kernels.regroup(['KernelC', 'KernelD']);
  for (const name of ['KernelA', 'KernelB'] as const) {
    expect((await kernels.kill(name, 'SIGTERM'))?.code).toBe(0);
  }
  await kernels.untilComplete('KernelC');
  await sleep(2000);
  expect((await kernels.kernelStatus('KernelC')).alarms).toEqual([]);
  const { uplink: last } = await kernels.agentStatus();
  expect(last).toMatchObject({ kernel: kernels.address('KernelC'), sinceUs: there.sinceUs, lastError: null });
  expect(last.paths.map(({ address }) => address)).toEqual(
    (['KernelC', 'KernelD'] as const).map((name) => kernels.address(name)),
  );
  expect(kernels.agent.pid).toBe(pid);
  expect(kernels.agent.log.filter(({ msg }) => msg === 'running')).toHaveLength(1);

  const proofs = await kernels.prove();
  expect(proofs.get('KernelC')).toMatchObject(GREEN);
  expect(proofs.get('KernelD')).toMatchObject({ ...GREEN, archived: proofs.get('KernelC')?.archived });
  expect(proofs.get('KernelC')?.archived).toBeGreaterThan(500);
}, 180_000);
