import { decodeMessage, encodeMessage } from '../../src/uplink/codec.ts';
import { FrameSplitter } from '../../src/uplink/frame.ts';
import { FRAME_BYTES_MAX } from '../../src/uplink/limits.ts';
import type { Message } from '../../src/uplink/messages.ts';
import { type Recorded, recording, Stage } from './stage.ts';

/** What a real session said, frame by frame. */
export interface Corpus {
  /** Payloads of the frames of each lane. */
  readonly agentControl: readonly Uint8Array[];
  readonly agentData: readonly Uint8Array[];
  readonly kernelControl: readonly Uint8Array[];
  readonly kernelData: readonly Uint8Array[];
  /** Of all lanes. */
  readonly all: readonly Uint8Array[];
  readonly blocks: readonly Uint8Array[];
}

export const RECORDED_PROCESS = 'KomZ';
const RECORD_MS = 12_000;

/** Records a session with an outage in it, so that live values, gaps and a backlog are there too. */
export async function recordCorpus(seed: number): Promise<Corpus> {
  const stage = new Stage(seed);
  const records: Recorded[] = [];
  const kernel = await stage.kernel();
  const transport = recording(stage.network.host(RECORDED_PROCESS), records);
  const agent = await stage.agent(RECORDED_PROCESS, transport);
  await stage.clock.advance(RECORD_MS);
  stage.network.cut(RECORDED_PROCESS, 'kernel', 'reset');
  await stage.clock.advance(RECORD_MS);
  stage.network.heal(RECORDED_PROCESS, 'kernel');
  await stage.clock.advance(RECORD_MS);
  await agent.stop(stage.clock);
  await stage.clock.advance(1000);
  await stage.clock.runUntil(kernel.close());
  const lanes = records.map((record) => ({ from: record.from, payloads: payloadsOf(record) }));
  const of = (from: Recorded['from'], lane: number): Uint8Array[] =>
    lanes
      .filter((each) => each.from === from)
      .flatMap(({ payloads }, at) => (at % 2 === lane ? payloads : []));
  const [agentControl, agentData] = [of('agent', 0), of('agent', 1)];
  const [kernelControl, kernelData] = [of('kernel', 0), of('kernel', 1)];
  kernelControl.push(...RARE_CONTROL.map(payloadOf));
  kernelData.push(...RARE_DATA.map(payloadOf));
  agentControl.push(payloadOf(RESULT), payloadOf(RENEWAL));
  const all = [agentControl, agentData, kernelControl, kernelData].flat();
  const blocks = agentData.flatMap((payload) => {
    const message = decodeMessage(payload);
    return message.type === 'block' ? [message.bytes] : [];
  });
  return { agentControl, agentData, kernelControl, kernelData, all, blocks };
}

const ID = 'ab'.repeat(16);

const RESULT: Message = {
  type: 'commandResult',
  result: { commandId: ID, outcome: 'done', text: 'well', items: [{ streams: [1, 2, 3] }] },
};

const RENEWAL: Message = {
  type: 'leaseRenewal',
  echoUs: 77,
  claim: {
    ...{ role: 'standby', ownTerm: 31, highestTerm: 47, unfit: 'no line answers', isLeaving: false },
    ...{
      preferred: { instance: 2, setAtUs: 5 },
      releasedTerm: 31,
      peerGone: true,
      preferHoldOffMs: 1,
      leaseMs: 1200,
    },
    wish: { to: 2, operator: 'anna', force: false },
  },
};

/** What the recorded session has no reason to say. */
const RARE_CONTROL: readonly Message[] = [
  {
    type: 'command',
    command: {
      ...{ commandId: ID, name: 'replay', parameters: { stream: ID, first: 1, last: 9, repair: true } },
      ...{ operator: 'anna', host: 'kernel-1', givenAtUs: 5, timeoutMs: 10_000 },
    },
  },
  {
    type: 'lease',
    echoUs: 77,
    answer: { kind: 'held-by-other', term: 47, holder: 2, durationMs: 1200, reason: 'switch' },
  },
  { type: 'deliveryRight', streamIds: [ID] },
];

const RARE_DATA: readonly Message[] = [
  { type: 'needDictionary', hash: ID },
  {
    type: 'nack',
    nack: { streamId: ID, firstSequence: 1, lastSequence: 9, reason: 'undecodable', text: 'it does not' },
  },
  {
    type: 'ack',
    coverage: [{ streamId: ID, throughSequence: 4, held: [{ first: 6, last: 9 }] }],
    archived: [{ streamId: ID, firstSequence: 1, lastSequence: 4 }],
  },
];

function payloadOf(message: Message): Uint8Array {
  return new FrameSplitter(FRAME_BYTES_MAX).push(encodeMessage(message))[0] ?? new Uint8Array();
}

function payloadsOf({ chunks }: Recorded): Uint8Array[] {
  const splitter = new FrameSplitter(FRAME_BYTES_MAX);
  return chunks.flatMap((chunk) => splitter.push(chunk)).map((payload) => payload.slice());
}
