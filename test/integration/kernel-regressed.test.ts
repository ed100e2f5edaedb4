import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { StorePolicy } from '../../src/config/model.ts';
import type { KernelStatus } from '../../src/kernel/kernel.ts';
import { callControl } from '../../src/ops/control.ts';
import { kom } from './support/kom.ts';
import { GREEN, Setup } from './support/setup.ts';
import { sleep } from './support/until.ts';

const TAG = 'P1.volume';

async function kernelStatus(setup: Setup): Promise<KernelStatus> {
  const path = setup.file('kernel.sock');
  for await (const item of callControl({ ...setup.world, path, method: 'status' }))
    return item as KernelStatus;
  throw new Error('no status');
}

/** The agent delivers, the Kernel's archive is deleted while it is down, and the agent goes on. */
async function withLostArchive(store: StorePolicy): Promise<{ setup: Setup; lostUs: number }> {
  const setup = await Setup.make({ store });
  await setup.startPlant();
  await setup.startKernel();
  await setup.startAgent();
  await setup.untilOnline();
  await sleep(1500);
  const lostUs = setup.world.clock.wallUs();
  await setup.stopKernel();
  rmSync(setup.file('archive'), { recursive: true, force: true });
  await sleep(1500);
  await setup.startKernel();
  await setup.untilStatus('the backlog to drain', ({ uplink, backlog }) => {
    return uplink.kernel !== null && backlog.state === 'online';
  });
  return { setup, lostUs };
}

test('an archive that lost what it had: what nobody holds is a gap, and the rest arrives', async () => {
  const { setup, lostUs } = await withLostArchive('on-outage');
  await using _ = setup;
  await sleep(1000);
  const before = await setup.history(TAG, lostUs - 1_000_000, lostUs - 300_000);
  expect(before.filter(({ kind }) => kind === 'segment')).toMatchObject([
    { state: 'gap', reason: 'kernel-regressed' },
  ]);
  const now = setup.world.clock.wallUs();
  const after = await setup.history(TAG, lostUs + 500_000, now);
  expect(after.filter(({ kind }) => kind === 'segment')[0]).toMatchObject({ state: 'data' });
  const alarms = async () => (await kernelStatus(setup)).alarms.map(({ code }) => code);
  expect(await alarms()).toEqual(['kernel-regressed']);
  const kernel = setup.file('kernel.json');
  const shown = await kom(['kernel', 'status', kernel]);
  expect(shown.code).toBe(1);
  expect(shown.stdout).toMatch(/ALARM kernel-regressed: the archive lacks \d+ values that were acknowledged/);
  expect((await kom(['kernel', 'acknowledge', kernel])).stdout).toMatch(/seen: \d+ values are missing/);
  expect(await alarms()).toEqual([]);
  expect(setup.agentLog.lines.map(({ msg }) => msg)).toContain('the Kernel lost what it had acknowledged');
});

test('with the policy always the ring still has it, and the archive gets everything again', async () => {
  const { setup } = await withLostArchive('always');
  await using _ = setup;
  expect(await setup.prove()).toMatchObject({ ...GREEN, declared: 0 });
  expect((await kernelStatus(setup)).alarms).toEqual([]);
});
