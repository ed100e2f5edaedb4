import { decodeMessage } from '../../src/uplink/codec.ts';
import { FrameSplitter } from '../../src/uplink/frame.ts';
import { FRAME_BYTES_MAX } from '../../src/uplink/limits.ts';
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
  const all = lanes.flatMap(({ payloads }) => payloads);
  const blocks = agentData.flatMap((payload) => {
    const message = decodeMessage(payload);
    return message.type === 'block' ? [message.bytes] : [];
  });
  return { agentControl, agentData, kernelControl, kernelData, all, blocks };
}

function payloadsOf({ chunks }: Recorded): Uint8Array[] {
  const splitter = new FrameSplitter(FRAME_BYTES_MAX);
  return chunks.flatMap((chunk) => splitter.push(chunk)).map((payload) => payload.slice());
}
