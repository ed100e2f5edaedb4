import { expect, test } from 'vitest';
import { parseTimeUs } from '../../src/domain/units.ts';
import type { QueryLine } from '../../src/kernel/archive/query.ts';
import { type Kom, kom } from './support/kom.ts';
import { GREEN, Setup } from './support/setup.ts';
import { sleep, until } from './support/until.ts';

const TAG = 'P1.volume';
const OFF_MS = 2500;
const STOP_MAX_MS = 5000;

/** Simulators and Kernel here, the agent as a process of its own, online. */
async function withSpawnedAgent(): Promise<{ setup: Setup; agent: Kom }> {
  const setup = await Setup.make();
  await setup.startPlant();
  await setup.startKernel();
  const agent = await setup.spawnAgent();
  await setup.untilOnline();
  await sleep(1000);
  return { setup, agent };
}

type Segment = Extract<QueryLine, { kind: 'segment' }>;

/** Asks the running Kernel as a user does, from a process of its own. */
async function segments(setup: Setup): Promise<(Segment & { fromUs: number; toUs: number })[]> {
  const query = ['archive', 'query', '--tag', TAG, '--from', '-5min', '--json'];
  const { stdout, code, stderr } = await kom([...query, '--kernel', setup.file('kernel.json')]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const lines = stdout.split('\n').filter((line) => line !== '');
  return lines
    .map((line) => JSON.parse(line) as QueryLine)
    .filter((line) => line.kind === 'segment')
    .map((line) => ({ ...line, fromUs: parseTimeUs(line.from, 0) ?? 0, toUs: parseTimeUs(line.to, 0) ?? 0 }));
}

test('killed during the outage: the backlog is replayed, the time it was off is a gap', async () => {
  const { setup, agent } = await withSpawnedAgent();
  await using _ = setup;
  const { clock } = setup.world;
  setup.cable.cut();
  await sleep(2000);
  const held = (await setup.status()).backlog.ring.unacknowledgedSamples;
  expect(held).toBeGreaterThan(50);
  expect((await agent.kill('SIGKILL')).signal).toBe('SIGKILL');
  const killedUs = clock.wallUs();
  await sleep(OFF_MS);
  const restartedUs = clock.wallUs();
  await setup.spawnAgent();
  expect((await setup.status()).backlog.samples, 'the backlog is still there').toBeGreaterThanOrEqual(held);
  await sleep(500);
  setup.cable.heal();
  await setup.untilOnline();
  expect(await setup.prove()).toMatchObject(GREEN);
  const off = (await segments(setup)).filter(({ fromUs, toUs }) => toUs > killedUs && fromUs < restartedUs);
  expect(off.map(({ state }) => state)).not.toContain('data');
  expect(off.map(({ state }) => state)).not.toContain('unknown');
  const agentStopped = off.find(({ reason }) => reason === 'agent-stopped');
  expect(agentStopped).toMatchObject({ state: 'gap' });
  expect(agentStopped?.toUs).toBeGreaterThanOrEqual(restartedUs);
  // The last durable alive mark is at most so old.
  const aliveMarkMs = setup.site.processes[0]?.buffer.aliveMarkMs ?? 0;
  expect(agentStopped?.fromUs).toBeGreaterThan(killedUs - (aliveMarkMs + 500) * 1000);
  expect(agentStopped?.fromUs).toBeLessThan(killedUs);
  const tag = await setup.history(TAG, killedUs - 1_500_000, killedUs - 1_000_000);
  expect(tag.filter(({ kind }) => kind === 'sample').length, 'what the outage held').toBeGreaterThan(1);
});

test('stopped in the outage, and told so twice: all is in the ring, nothing counts as a crash', async () => {
  const { setup, agent } = await withSpawnedAgent();
  await using _ = setup;
  setup.cable.cut();
  await sleep(1500);
  const { producedTo } = await setup.status();
  const stoppedMs = performance.now();
  const stopping = agent.kill('SIGTERM');
  await sleep(3);
  // The service manager tells every process of the service, and the launcher passes on what it hears.
  const { code, stderr } = await agent.kill('SIGTERM');
  await stopping;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(performance.now() - stoppedMs).toBeLessThan(STOP_MAX_MS);
  expect(agent.log.at(-1)?.msg).toBe('stopped');
  const stoppedUs = setup.world.clock.wallUs();
  await sleep(OFF_MS);
  const restartedUs = setup.world.clock.wallUs();
  await setup.spawnAgent();
  setup.cable.heal();
  await setup.untilOnline();
  expect(await setup.prove()).toMatchObject(GREEN);
  const { streamId } = await setup.status();
  const history = await setup.history(TAG, stoppedUs - 60_000_000);
  const sequences = history.flatMap((line) =>
    line.kind === 'sample' && line.stream !== streamId ? [line.sequence] : [],
  );
  expect(Math.max(...sequences), 'up to the last ones').toBeGreaterThan(producedTo - 40);
  const all = await segments(setup);
  expect(new Set(all.flatMap(({ reason }) => reason ?? []))).toEqual(new Set(['agent-stopped']));
  const [gap] = all.filter(({ state }) => state === 'gap');
  expect(gap?.toUs).toBeGreaterThanOrEqual(restartedUs);
  expect(gap?.fromUs).toBeGreaterThan(stoppedUs - 2_000_000);
  expect(gap?.fromUs).toBeLessThan(stoppedUs);
});

test('the Kernel killed in the middle of the drain: what it has not acknowledged comes again', async () => {
  await using setup = await Setup.make();
  await setup.startPlant();
  const kernel = await setup.spawnKernel();
  await setup.startAgent();
  await setup.untilOnline();
  setup.cable.cut();
  await sleep(3000);
  const peak = (await setup.status()).backlog.ring.unacknowledgedSamples;
  // So slow that the backlog needs seconds.
  setup.cable.heal(6000);
  await setup.untilStatus('a part of the backlog to be acknowledged', ({ backlog }) => {
    const left = backlog.ring.unacknowledgedSamples;
    return backlog.state === 'catch-up' && left < peak * 0.8;
  });
  const left = (await setup.status()).backlog.ring.unacknowledgedSamples;
  expect(left, 'it is in the middle of it').toBeGreaterThan(0);
  await kernel.kill('SIGKILL');
  await until('the outage', async () => (await setup.status()).backlog.state === 'outage');
  await setup.spawnKernel();
  setup.cable.heal();
  await setup.untilOnline();
  expect(await setup.prove()).toMatchObject(GREEN);
});
