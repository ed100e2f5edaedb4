import { cpSync, rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { StorePolicy } from '../../src/config/model.ts';
import type { QueryLine } from '../../src/kernel/archive/query.ts';
import { GREEN, Setup } from '../integration/support/setup.ts';
import { sleep } from '../integration/support/until.ts';

const TAG = 'P1.volume';

interface Segment {
  readonly fromUs: number;
  readonly toUs: number;
  readonly state: string;
  readonly reason: string | null;
}

function segmentsOf(lines: readonly QueryLine[]): Segment[] {
  return lines.flatMap((line): Segment[] => {
    if (line.kind !== 'segment') return [];
    const { from, to, state, reason } = line;
    return [{ fromUs: Date.parse(from) * 1000, toUs: Date.parse(to) * 1000, state, reason }];
  });
}

/** The states of a tag, but for the last moments, which may be on their way. */
async function settledSegments(setup: Setup, fromUs: number): Promise<Segment[]> {
  return segmentsOf(await setup.history(TAG, fromUs, setup.world.clock.wallUs() - 2_000_000));
}

/** The Kernel is killed and gets the archive back that it had some seconds before. */
async function withOldArchive(store: StorePolicy) {
  const setup = await Setup.make({ store });
  const { clock } = setup.world;
  await setup.startPlant();
  const first = await setup.spawnKernel();
  await setup.spawnAgent();
  await setup.untilOnline();
  const onlineUs = clock.wallUs();
  await sleep(3000);
  expect((await first.kill('SIGTERM')).code).toBe(0);
  const savedUs = clock.wallUs();
  cpSync(setup.file('archive'), setup.file('backup'), { recursive: true });
  const second = await setup.spawnKernel();
  await setup.untilOnline();
  const resumedUs = clock.wallUs();
  await sleep(3000);
  await second.kill('SIGKILL');
  const killedUs = clock.wallUs();
  rmSync(setup.file('archive'), { recursive: true });
  cpSync(setup.file('backup'), setup.file('archive'), { recursive: true });
  await setup.spawnKernel();
  await setup.untilStatus('the backlog to drain', ({ uplink, backlog }) => {
    return uplink.kernel !== null && backlog.state === 'online';
  });
  await sleep(1500);
  return { setup, onlineUs, savedUs, resumedUs, killedUs };
}

test('a Kernel restored from an old backup: a gap just where nobody holds anything any more', async () => {
  const { setup, onlineUs, savedUs, resumedUs, killedUs } = await withOldArchive('on-outage');
  await using _ = setup;
  const proof = await setup.prove();
  expect(proof).toMatchObject(GREEN);
  expect(proof.declared).toBeGreaterThan(20);
  const segments = await settledSegments(setup, onlineUs);
  const [gap, ...others] = segments.filter(({ reason }) => reason === 'kernel-regressed');
  expect(others).toEqual([]);
  // What came while there was no Kernel is in the ring still.
  expect(gap?.fromUs, 'what the backup has is not hidden').toBeGreaterThan(savedUs - 1_500_000);
  expect(gap?.fromUs).toBeLessThan(resumedUs + 500_000);
  expect(gap?.toUs, 'nor what came since').toBeLessThan(killedUs + 1_000_000);
  expect(gap?.toUs).toBeGreaterThan(killedUs - 1_500_000);
  for (const { state, fromUs, toUs } of segments) {
    if (toUs <= (gap?.fromUs ?? 0) || fromUs >= (gap?.toUs ?? 0)) expect(state).toBe('data');
  }
});

test('the same where the ring keeps everything: all of it comes again, and there is no gap', async () => {
  const { setup, onlineUs } = await withOldArchive('always');
  await using _ = setup;
  expect(await setup.prove()).toMatchObject({ ...GREEN, declared: 0 });
  const states = (await settledSegments(setup, onlineUs)).map(({ state }) => state);
  expect(states).toEqual(['data']);
});

test('an agent whose disk is destroyed: its backlog is a gap, and what the archive had stays', async () => {
  await using setup = await Setup.make();
  const { clock } = setup.world;
  await setup.startPlant();
  await setup.spawnKernel();
  const agent = await setup.spawnAgent();
  await setup.untilOnline();
  const onlineUs = clock.wallUs();
  await sleep(2000);
  setup.cable.cut();
  const cutUs = clock.wallUs();
  await sleep(2000);
  expect((await setup.status()).backlog.ring.unacknowledgedSamples).toBeGreaterThan(20);
  await agent.kill('SIGKILL');
  const killedUs = clock.wallUs();
  rmSync(setup.file('agent'), { recursive: true });
  await setup.spawnAgent();
  setup.cable.heal();
  await setup.untilOnline();
  await sleep(1500);
  const proof = await setup.prove();
  expect(proof).toMatchObject(GREEN);
  expect(proof.declared).toBeGreaterThan(20);
  const segments = await settledSegments(setup, onlineUs);
  const lost = segments.filter(({ reason }) => reason === 'store-lost');
  expect(lost).toHaveLength(1);
  expect(lost[0]?.fromUs).toBeGreaterThan(cutUs - 1_500_000);
  expect(lost[0]?.fromUs).toBeLessThan(cutUs + 500_000);
  expect(lost[0]?.toUs).toBeGreaterThan(killedUs);
  expect(segments[0], 'what the archive had').toMatchObject({ state: 'data' });
  expect(segments.at(-1)).toMatchObject({ state: 'data' });
});
