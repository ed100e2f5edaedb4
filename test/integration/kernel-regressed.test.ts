import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { StorePolicy } from '../../src/config/model.ts';
import { GREEN, Setup } from './support/setup.ts';
import { sleep } from './support/until.ts';

const TAG = 'P1.volume';

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
  expect(setup.agentLog.lines.map(({ msg }) => msg)).toContain('the Kernel lost what it had acknowledged');
});

test('with the policy always the ring still has it, and the archive gets everything again', async () => {
  const { setup } = await withLostArchive('always');
  await using _ = setup;
  expect(await setup.prove()).toMatchObject({ ...GREEN, declared: 0 });
});
