import { expect, it } from 'vitest';
import type { Coverage } from '../src/domain/coverage.ts';
import { Channel } from '../src/uplink/channel.ts';
import type { Hello, Message, StreamState } from '../src/uplink/messages.ts';
import { KERNEL, Stage } from './fuzz/stage.ts';

const NOTHING = 'cd'.repeat(16);

function stateOf(streamId: string, more: Partial<StreamState> = {}): StreamState {
  return {
    ...{ streamId, bootId: streamId, startedAtUs: 2, previous: null, held: [], heldFromUs: 0 },
    ...{ producedTo: 0, endedAtUs: null, running: true, ...more },
  };
}

/** An honest agent whose streams are archived and which is away, and another one of its process. */
async function makeHostile(claim: Partial<Hello>) {
  const stage = new Stage(5);
  await stage.kernel();
  const agent = await stage.agent('KomA');
  await stage.clock.advance(3000);
  await agent.stop(stage.clock);
  const { streamId } = agent.store.ring.stream;
  const before = await stage.archive.coverage(streamId);
  const hello: Hello = {
    ...{ protocolMin: 1, protocolMax: 2, programVersion: 'test', lane: 'control', sessionId: '' },
    ...{ site: 'S', process: 'KomA', instance: 2, siteHash: 'a'.repeat(32), wallUs: 1, streams: [] },
    ...{ heartbeatMs: 0, silenceMaxMs: 0, dictionaryHashes: [], highestTerm: 0, highestKernelEpoch: 0 },
    ...claim,
  };
  const open = async (more: Partial<Hello>) => {
    const connection = await stage.clock.runUntil(
      stage.network.host('other').connect(KERNEL, { timeoutMs: 1000 }),
    );
    const channel = new Channel(connection, stage.clock);
    await stage.clock.runUntil(channel.send({ type: 'hello', hello: { ...hello, ...more } }));
    return { channel, answer: await stage.clock.runUntil(channel.receive()) };
  };
  const connect = async (streams: readonly StreamState[]) => {
    const control = await open({ streams });
    const sessionId = control.answer?.type === 'welcome' ? control.answer.welcome.sessionId : '';
    return await open({ lane: 'data', sessionId });
  };
  const archived = async (): Promise<{ coverage: Coverage; endedSequence: unknown }> => {
    const stored = (await stage.archive.streams('S', 'KomA')).find((each) => each.streamId === streamId);
    return { coverage: await stage.archive.coverage(streamId), endedSequence: stored?.endedSequence };
  };
  const say = async (channel: Channel, message: Message): Promise<string | undefined> => {
    await stage.clock.runUntil(channel.send(message));
    for (;;) {
      const answer = await stage.clock.runUntil(channel.receive());
      if (answer?.type !== 'heartbeat') return answer?.type;
    }
  };
  return { stage, streamId, before, connect, archived, say };
}

const gapOf = (streamId: string): Message => ({
  type: 'gap',
  gap: {
    ...{ streamId, firstSequence: 1, lastSequence: 1000, reason: 'evicted' },
    ...{ fromUs: 1, toUs: 2, countAtMost: 1000 },
  },
});
const endOf = (streamId: string): Message => ({
  type: 'streamEnd',
  ...{ streamId, lastSequence: 1, endedAtUs: 5 },
});

it.each([
  ['a gap', gapOf],
  ['an end', endOf],
])('%s of a stream that is only named as a predecessor ends the connection', async (_, make) => {
  const { streamId, connect, archived, say } = await makeHostile({});
  const before = await archived();
  const previous = {
    ...{ streamId, lastDurableSequence: 1, endedCleanly: false },
    ...{ aliveUntilUs: 1, lostAtMost: 9 },
  };
  const { channel } = await connect([stateOf(NOTHING, { previous })]);
  expect(await archived(), 'nor does the chain tell of a crash').toEqual(before);
  expect(await say(channel, make(streamId))).toBe('bye');
  expect(await archived()).toEqual(before);
});

it('what an agent says of a stream that the archive has from another instance changes nothing', async () => {
  const { streamId, connect, archived, say } = await makeHostile({});
  const before = await archived();
  const { channel } = await connect([
    stateOf(streamId, { running: false, producedTo: 1, endedAtUs: 7 }),
    stateOf(NOTHING),
  ]);
  expect(await archived(), 'no end').toEqual(before);
  expect(await say(channel, gapOf(streamId)), 'it is answered').toBe('ack');
  expect(await say(channel, endOf(streamId))).toBe('ack');
  expect(await archived()).toEqual(before);
  expect(await say(channel, gapOf(NOTHING)), 'of its own it may').toBe('ack');
});
