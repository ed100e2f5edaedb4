import { expect, it } from 'vitest';
import { Channel } from '../src/uplink/channel.ts';
import { SeenEpochs } from '../src/uplink/epochs.ts';
import { COUNTER_JUMP_MAX } from '../src/uplink/limits.ts';
import type { Hello, StreamState } from '../src/uplink/messages.ts';
import { SideStore } from '../src/world/side-store.ts';
import { SimulatedDisk } from '../src/world/simulated/disk.ts';
import { KERNEL, Stage } from './fuzz/stage.ts';

function helloOf(more: Partial<Hello>): Hello {
  return {
    ...{ protocolMin: 1, protocolMax: 1, programVersion: 'test', lane: 'control', sessionId: '' },
    ...{ site: 'S', process: 'KomB', instance: 1, siteHash: 'a'.repeat(32), wallUs: 1, streams: [] },
    ...{ heartbeatMs: 0, silenceMaxMs: 0, dictionaryHashes: [], highestTerm: 0, highestKernelEpoch: 0 },
    ...more,
  };
}

async function greet(stage: Stage, more: Partial<Hello>) {
  const connection = await stage.clock.runUntil(
    stage.network.host('other').connect(KERNEL, { timeoutMs: 1000 }),
  );
  const channel = new Channel(connection, stage.clock);
  await stage.clock.runUntil(channel.send({ type: 'hello', hello: helloOf(more) }));
  return { channel, answer: await stage.clock.runUntil(channel.receive()) };
}

it('a refused block is kept aside, its numbers are a gap, and a retry replaces the gap by data', async () => {
  const stage = new Stage(5);
  await stage.kernel();
  stage.network.cut('KomA', KERNEL.host, 'reset');
  const agent = await stage.agent('KomA');
  const { store } = agent;
  const { streamId } = store.ring.stream;
  const stream: StreamState = {
    ...{ streamId, bootId: streamId, startedAtUs: 1, previous: null, held: [], heldFromUs: 0 },
    ...{ producedTo: 0, endedAtUs: null, running: true },
  };
  const other = await greet(stage, { streams: [stream] });
  expect(other.answer?.type).toBe('welcome');

  stage.network.heal('KomA', KERNEL.host);
  await stage.clock.advance(5000);
  const refused = await store.poison.list();
  expect(refused.length).toBeGreaterThan(0);
  expect(refused[0]).toMatchObject({ streamId, firstSequence: 1, reason: 'forbidden', refusals: 1 });
  const states = async (): Promise<string[]> =>
    (await stage.archive.coverage(streamId)).map(({ state }) => state);
  expect(store.ring.gaps()).toMatchObject([{ streamId, reason: 'rejected' }]);
  expect(await states(), 'who has the stream tells of its losses').toEqual([]);

  other.channel.destroy();
  await stage.clock.advance(1000);
  for (const block of await store.poison.blocks(await store.poison.list()))
    await store.backlog.offers.add(block);
  await stage.clock.advance(2000);
  expect(await store.poison.list(), 'what is archived is not kept any longer').toEqual([]);
  expect(await states()).toEqual(['data']);
  await agent.stop(stage.clock);
  expect(stage.bugs).toEqual([]);
});

it('numbers that were given and nobody has are shown, and of an honest agent there are none', async () => {
  const stage = new Stage(9);
  const kernel = await stage.kernel();
  const agent = await stage.agent('KomA');
  const streamId = 'cd'.repeat(16);
  const state: StreamState = {
    ...{ streamId, bootId: streamId, startedAtUs: 1, previous: null, held: [{ first: 11, last: 20 }] },
    ...{ heldFromUs: 1, producedTo: 50, endedAtUs: null, running: true },
  };
  const { channel } = await greet(stage, { streams: [state], heartbeatMs: 1000, silenceMaxMs: 60_000 });
  const unresolved = async (process: string): Promise<unknown[]> => {
    const found = kernel.presence.of('S', process).unresolved((id) => stage.archive.coverage(id));
    return (await found).map(({ first, last }) => [first, last]);
  };
  for (let second = 0; second < 40; second++) {
    const heartbeat = { wallUs: 1, streams: [state], observedUntilUs: 1, uplinkState: 'online' as const };
    void channel.send({ type: 'heartbeat', heartbeat: { ...heartbeat, receivedBytes: 0, isPartial: false } });
    if (second === 10) stage.network.cut('KomA', KERNEL.host, 'reset');
    if (second === 25) stage.network.heal('KomA', KERNEL.host);
    await stage.clock.advance(1000);
    if (second === 5) expect(await unresolved('KomB'), 'too early to tell').toEqual([]);
    expect(await unresolved('KomA')).toEqual([]);
  }
  expect(await unresolved('KomB')).toEqual([
    [1, 10],
    [21, 50],
  ]);
  channel.destroy();
  await agent.stop(stage.clock);
  expect(stage.bugs).toEqual([]);
});

it('a Kernel goes above the epoch that an agent has seen, and refuses a jump', async () => {
  const stage = new Stage(6);
  await stage.kernel();
  const epochOf = async (highestKernelEpoch: number): Promise<unknown> => {
    const { channel, answer } = await greet(stage, { highestKernelEpoch });
    channel.destroy();
    return answer?.type === 'welcome' ? answer.welcome.kernelEpoch : answer;
  };
  expect(await epochOf(0)).toBe(1);
  expect(await epochOf(0)).toBe(1);
  expect(await epochOf(7)).toBe(8);
  expect(await epochOf(8)).toBe(8);
  expect(await epochOf(9 + COUNTER_JUMP_MAX)).toMatchObject({
    type: 'bye',
    text: expect.stringContaining('too far ahead'),
  });
  expect(await stage.archive.kernelEpoch(), 'durable').toBe(8);
});

it('what one agent claims of epochs, however often, locks no other one out', async () => {
  const stage = new Stage(8);
  await stage.kernel();
  const first = await greet(stage, {});
  if (first.answer?.type !== 'welcome') throw new Error('no Welcome');
  const seen = first.answer.welcome.kernelEpoch;
  for (const claimed of [COUNTER_JUMP_MAX - 1, COUNTER_JUMP_MAX, 2 * COUNTER_JUMP_MAX]) {
    const { channel } = await greet(stage, { process: 'KomC', highestKernelEpoch: claimed });
    channel.destroy();
  }
  const last = await greet(stage, { process: 'KomD' });
  if (last.answer?.type !== 'welcome') throw new Error('no Welcome');
  const disk = new SimulatedDisk(stage.clock, stage.random);
  const other = await SeenEpochs.load(new SideStore(disk, 'notes'), stage.log);
  await other.met(seen);
  await other.met(last.answer.welcome.kernelEpoch);
  expect(other.highest).toBe(COUNTER_JUMP_MAX);
});

it('an agent remembers the highest epoch, and refuses a Kernel that was overtaken, or jumps', async () => {
  const stage = new Stage(7);
  const disk = new SimulatedDisk(stage.clock, stage.random);
  const load = (): Promise<SeenEpochs> => SeenEpochs.load(new SideStore(disk, 'notes'), stage.log);
  const seen = await load();
  await seen.met(5);
  await expect(seen.met(4)).rejects.toThrow(/overtaken by another/);
  await expect(seen.met(6 + COUNTER_JUMP_MAX)).rejects.toThrow(/too far ahead/);
  await seen.met(0);
  expect((await load()).highest).toBe(5);
});
