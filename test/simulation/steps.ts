import { decodeMessage } from '../../src/uplink/codec.ts';
import { FrameSplitter } from '../../src/uplink/frame.ts';
import type { Message } from '../../src/uplink/messages.ts';
import type { Connection, Transport } from '../../src/world/transport.ts';

/** No message of this history is larger. */
const FRAME_BYTES_MAX = 16 * 1024 * 1024;

export type Side = 'agent' | 'kernel';

/** One message that a side hands to a connection. */
export interface Step {
  readonly from: Side;
  readonly lane: 'control' | 'data';
  readonly type: Message['type'];
}

/** What becomes of one message. */
export type Fate = 'sent' | 'half' | 'never';

/**
 * Stands between both sides and the network, and counts every protocol message on its way in: on each lane,
 * in each direction. Each side hands one whole message to its connection at a time.
 */
export class Steps {
  readonly seen: Step[] = [];
  /** Called before each message, with its number from 1; says what becomes of it. */
  onStep: (number: number, step: Step) => Fate = () => 'sent';
  /** Nothing that these sides send arrives any more. */
  readonly muted = new Set<Side>();

  readonly between = (from: Side, transport: Transport): Transport => ({
    connect: async (address, options) => this.#watched(from, await transport.connect(address, options)),
    connectLocal: (path, options) => transport.connectLocal(path, options),
    listen: (address, accept, options) =>
      transport.listen(address, (connection) => accept(this.#watched(from, connection)), options),
    listenLocal: (path, accept) => transport.listenLocal(path, accept),
  });

  #watched(from: Side, connection: Connection): Connection {
    const lane: LaneName = { of: null };
    const inner = connection[Symbol.asyncIterator]();
    const splitter = new FrameSplitter(FRAME_BYTES_MAX);
    const heard = (bytes: Uint8Array) => {
      if (from === 'kernel' && lane.of === null) for (const each of splitter.push(bytes)) named(lane, each);
    };
    let isStuck = false;
    return {
      remote: connection.remote,
      peerCertificate: connection.peerCertificate,
      get queuedBytes() {
        return connection.queuedBytes;
      },
      send: async (bytes) => {
        const fate = isStuck ? 'never' : this.#fate(from, lane, bytes);
        if (this.muted.has(from) || fate === 'never') return;
        if (fate === 'sent') return await connection.send(bytes);
        isStuck = true;
        await connection.send(bytes.subarray(0, bytes.length >> 1));
      },
      close: () => connection.close(),
      destroy: () => connection.destroy(),
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          const result = await inner.next();
          if (result.done !== true) heard(result.value);
          return result;
        },
        return: async () => (await inner.return?.()) ?? { done: true, value: undefined },
      }),
    };
  }

  #fate(from: Side, lane: LaneName, bytes: Uint8Array): Fate {
    const [payload] = new FrameSplitter(FRAME_BYTES_MAX).push(bytes);
    if (payload === undefined) throw new Error('a message is handed over in pieces');
    const { type } = named(lane, payload);
    const step: Step = { from, lane: lane.of ?? 'control', type };
    this.seen.push(step);
    return this.onStep(this.seen.length, step);
  }
}

/** Which lane a connection is, as soon as its Hello was on it. */
interface LaneName {
  of: Step['lane'] | null;
}

function named(lane: LaneName, payload: Uint8Array): Message {
  const message = decodeMessage(payload);
  if (message.type === 'hello') lane.of = message.hello.lane === 'data' ? 'data' : 'control';
  return message;
}
